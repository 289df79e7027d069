package ftpmux

// verb is how a command is handled; the zero value passes it untouched.
type verb struct {
	handle    func(*session, command) // nil: forward
	direction direction               // of the transfer that it begins
	data      bool                    // it changes or uses the data connection, so it waits for the transfer under way
	urgent    bool                    // it overtakes commands that wait
	secret    bool                    // its argument stands in no log
	refusal   string                  // the answer from here
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
	"AUTH": {refusal: "534 This connection is protected by SSH already; use plain FTP here"},
	"LPRT": {refusal: notHere},
	"LPSV": {refusal: notHere},
	"SPSV": {refusal: notHere},
	"CPSV": {refusal: notHere},
	"SSCN": {refusal: notHere},

	// The features of which do not work here are not offered.
	"FEAT": {handle: (*session).feat},
}

const notHere = "502 Not through this tunnel; use EPSV, PASV, EPRT or PORT"

// useless are the features that do not work here: the verbs that are refused,
// and what goes with them.
var useless = map[string]bool{"PBSZ": true, "PROT": true, "CCC": true, "ESTA": true, "ESTP": true}

func init() {
	for name, v := range verbs {
		if v.refusal != "" {
			useless[name] = true
		}
	}
}
