package ftpmux

// verb is how a command is handled; the zero value passes it untouched.
type verb struct {
	handle    func(*session, command) // nil: forward
	direction direction               // of the transfer that it begins
	data      bool                    // it changes or uses the data connection, so it waits for the transfer under way
	urgent    bool                    // it overtakes commands that wait
	secret    bool                    // its argument stands in no log
}

// direction is which way a transfer's data goes.
type direction int

const (
	eitherWay direction = iota // a verb that is not in the table
	download                   // from the server to the client
	upload                     // from the client to the server
)

// verbs lists the commands that the mux acts on. Any other passes untouched.
var verbs = map[string]verb{
	"PASS": {secret: true},
	"ACCT": {secret: true},
	"ADAT": {secret: true},

	// The client's half of a data connection; the server's is negotiated apart.
	"PASV": {handle: (*session).pasv, data: true},
	"EPSV": {handle: (*session).epsv, data: true},
	"PORT": {handle: (*session).port, data: true},
	"EPRT": {handle: (*session).eprt, data: true},

	// What uses it.
	"RETR": {handle: (*session).transfer, direction: download, data: true},
	"LIST": {handle: (*session).transfer, direction: download, data: true},
	"NLST": {handle: (*session).transfer, direction: download, data: true},
	"MLSD": {handle: (*session).transfer, direction: download, data: true},
	"STOR": {handle: (*session).transfer, direction: upload, data: true},
	"STOU": {handle: (*session).transfer, direction: upload, data: true},
	"APPE": {handle: (*session).transfer, direction: upload, data: true},

	"ABOR": {handle: (*session).abor, urgent: true},
	"STAT": {urgent: true},
	"REST": {handle: (*session).rest},
	"REIN": {handle: (*session).rein, data: true},
	"QUIT": {handle: (*session).leave},

	// What would open a connection or hide one behind our back.
	"FEAT": {handle: (*session).feat},
	"AUTH": {handle: (*session).refuseTLS},
	"LPRT": {handle: (*session).refuse},
	"LPSV": {handle: (*session).refuse},
	"SPSV": {handle: (*session).refuse},
	"CPSV": {handle: (*session).refuse},
	"SSCN": {handle: (*session).refuse},
}

// hidden are the features that a FEAT reply must not offer, since the verbs
// are refused.
var hidden = map[string]bool{
	"AUTH": true, "PBSZ": true, "PROT": true, "CCC": true,
	"LPRT": true, "LPSV": true, "SPSV": true, "CPSV": true, "SSCN": true,
	"ESTA": true, "ESTP": true,
}
