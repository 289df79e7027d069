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

// transfers tells whether the verb is known to begin a transfer.
func (v verb) transfers() bool { return v.direction != eitherWay }

// verbs lists the commands that the mux acts on. Any other passes untouched.
var verbs = map[string]verb{
	"USER": {handle: (*session).user},
	"PASS": {secret: true},
	"ACCT": {secret: true},
	"XAUT": {secret: true}, // WS_FTP's: user and password in a code that anybody can read

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
	"RANG": {handle: (*session).rest},
	"MODE": {handle: (*session).mode},
	"REIN": {handle: (*session).rein, data: true},
	"TYPE": {handle: (*session).representation},
	"QUIT": {}, // makes the end that follows an orderly one

	// What tells how large a file is.
	"SIZE": {handle: (*session).size},
	"MLST": {handle: (*session).mlst},
	"ALLO": {handle: (*session).allo},

	// What would open a connection or hide one behind our back.
	"AUTH": {refusal: protected},
	"ADAT": {refusal: protected, secret: true},
	"PBSZ": {refusal: protected},
	"PROT": {refusal: protected},
	"CCC":  {refusal: protected},
	"MIC":  {refusal: protected, secret: true},
	"CONF": {refusal: protected, secret: true},
	"ENC":  {refusal: protected, secret: true},
	"LPRT": {refusal: "521 Supported address families are (); use EPRT or PORT"}, // RFC 1639, section 4
	"LPSV": {refusal: notHere},
	"SPSV": {refusal: notHere},
	"CPSV": {refusal: notHere},
	"SSCN": {refusal: notHere},

	// The features of which do not work here are not offered.
	"FEAT": {handle: (*session).feat},
}

// siteSecrets are the words behind SITE whose arguments stand in no log: new passwords,
// with some servers the old one or a user's name before them.
var siteSecrets = map[string]bool{
	"PSWD": true, "CPWD": true, // Serv-U, Gene6
	"PASS": true, "PASSWD": true, "CHPASS": true, "ADDUSER": true, "GADDUSER": true, // glFTPd, ioFTPD, DrFTPD
}

// Replies to what is not for this side of the tunnel.
const (
	protected = "534 This connection is protected by SSH already; use plain FTP here"
	notHere   = "502 Not through this tunnel; use EPSV, PASV, EPRT or PORT"
	noREIN    = "502 Not through this tunnel; it could end the TLS with the server"
)

// plain lists commands that use no data connection, so that no 125 or 150 makes
// transfers of them. Those with true have no 226 or 250 for an answer either, but for
// ABOR's 226: with nothing else behind a transfer, a 250 is the transfer's.
var plain = map[string]bool{
	"USER": true, "PASS": true, "ACCT": true, "REIN": true, "QUIT": true, "NOOP": true, "ABOR": true,
	"TYPE": true, "STRU": true, "MODE": true, "ALLO": true, "REST": true, "RANG": true,
	"PWD": true, "XPWD": true, "SYST": true, "STAT": true, "HELP": true, "FEAT": true,
	"OPTS": true, "SIZE": true, "MDTM": true, "MFMT": true, "CLNT": true, "LANG": true, "RNFR": true,
	"CWD": false, "XCWD": false, "CDUP": false, "XCUP": false, "DELE": false, "RNTO": false,
	"MKD": false, "XMKD": false, "RMD": false, "XRMD": false, "MLST": false, "SITE": false,
}

// useless are the features that do not work here: the verbs that are refused,
// and what goes with them.
var useless = map[string]bool{"ESTA": true, "ESTP": true}

func init() {
	for name, v := range verbs {
		if v.refusal != "" {
			useless[name] = true
		}
	}
}
