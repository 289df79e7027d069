// Package api is how pasvport's commands talk to its background agent: HTTP with
// JSON over a Unix socket that only its user can open.
//
// Every request carries the header Pasvport-API with the command's Version, every
// reply the same header with the agent's. An agent refuses another version's
// requests with status 409 and an [Error], all but POST /v1/stop, which every
// version understands in the same way.
//
//	GET  /v1/status                        -> Status
//	POST /v1/tunnels/{name}/up      Opening -> a stream of Event, one JSON value a line; the last has Done or Error
//	POST /v1/tunnels/{name}/restart Opening -> the same
//	POST /v1/tunnels/{name}/down           -> Tunnel, as it was
//	POST /v1/prompts/{id}           Answer -> {}, to an Event's Prompt
//	POST /v1/sessions/{id}/stop            -> {}, the FTP session is ended with 421
//	POST /v1/reload                        -> Reloaded
//	POST /v1/stop                          -> {}, once all tunnels are down; the agent ends
//	GET  /v1/metrics                       -> Prometheus' text format
//
// Whatever fails is answered with an [Error] and a status: 400 for a request that
// makes no sense, 404 for a tunnel, session or prompt that there is not, 409 for another version or
// a tunnel that is up with other settings, 422 for a configuration that is refused, 500 for the rest. A client that goes
// away while a tunnel is being opened for it takes its questions along, and the attempt with them.
package api

import (
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// Version is the version of the requests and replies.
const Version = 1

// SchemaVersion is the version of Status as JSON: a field may be added without a new
// one, and none goes or changes its meaning. status.schema.json describes it.
const SchemaVersion = 1

// Status is all that the agent knows. "pasvport status --json" prints it.
type Status struct {
	Schema  int       `json:"schema"` // SchemaVersion
	PID     int       `json:"pid"`
	Version string    `json:"version"` // of the agent's program
	Since   time.Time `json:"since"`   // its start
	Log     string    `json:"log"`     // the log's file; "" for standard error
	Config  string    `json:"config"`  // the path of config.toml, be it there or not
	Metrics string    `json:"metrics"` // host:port where they can be scraped; "" for the socket alone
	Tunnels []Tunnel  `json:"tunnels"` // by name
}

// State is how a tunnel is.
type State string

const (
	Down         State = "down"         // not wanted
	Connecting   State = "connecting"   // for the first time
	Up           State = "up"           // the SSH connection is there
	Reconnecting State = "reconnecting" // it was lost, or never came up, and is tried again
	NeedsLogin   State = "needs login"  // nobody was there to answer; Mend tells what to type
	Failed       State = "failed"       // it is not tried again; Error tells why
	Stopping     State = "stopping"     // transfers have their grace
)

// Tunnel is one tunnel.
type Tunnel struct {
	Name        string    `json:"name"`
	State       State     `json:"state"`
	Since       time.Time `json:"since"`       // of the state
	Host        string    `json:"host"`        // as in the settings
	SSH         string    `json:"ssh"`         // user@host:port; "" before it was resolved
	Connections int       `json:"connections"` // of SSH, alive
	Configured  bool      `json:"configured"`  // it stands in config.toml
	Listens     []Listen  `json:"listens"`
	Sessions    []Session `json:"sessions"` // by id
	Totals      Totals    `json:"totals"`
	Retry       time.Time `json:"retry,omitzero"`  // of the next attempt, when Reconnecting
	Mend        string    `json:"mend,omitempty"`  // what to type, when it needs somebody
	Error       *Error    `json:"error,omitempty"` // the last, with its time
}

// Listen is where FTP clients connect.
type Listen struct {
	Address string `json:"address"` // host:port here
	Server  string `json:"server"`  // host:port of the FTP server, as the SSH server sees it
}

// Totals count from the tunnel's start in this agent.
type Totals struct {
	Sessions      int64 `json:"sessions"`
	Downloads     int64 `json:"downloads"`     // that completed; listings are downloads
	Uploads       int64 `json:"uploads"`       // that completed
	Failed        int64 `json:"failed"`        // transfers that began and did not complete
	BytesDown     int64 `json:"bytes_down"`    // of data connections, those under way included
	BytesUp       int64 `json:"bytes_up"`      //
	Reconnections int64 `json:"reconnections"` // SSH connections after the first
}

// Session is one FTP control connection.
type Session struct {
	ID        int64      `json:"id"`     // the log's session
	Client    string     `json:"client"` // host:port of the client's program
	User      string     `json:"user"`   // of FTP; "" before USER
	Listen    string     `json:"listen"` // the Address that it came to
	Since     time.Time  `json:"since"`
	BytesDown int64      `json:"bytes_down"`
	BytesUp   int64      `json:"bytes_up"`
	Transfers []Transfer `json:"transfers"` // under way: none or one, hardly ever more
}

// Transfer is one file or listing under way.
type Transfer struct {
	ID     int64     `json:"id"`             // the log's transfer
	Verb   string    `json:"verb"`           // RETR, STOR, LIST ...
	Name   string    `json:"name"`           // its argument; may be ""
	Upload bool      `json:"upload"`         // else a download
	Bytes  int64     `json:"bytes"`          // moved by this transfer
	Offset int64     `json:"offset"`         // REST's: where in the file it began
	Size   *int64    `json:"size,omitempty"` // of the whole file, where it is known
	Since  time.Time `json:"since"`
}

// Opening asks for a tunnel.
type Opening struct {
	// Tunnel is the settings of one that is not in config.toml; nil takes the one
	// of that name from there.
	Tunnel *config.Tunnel `json:"tunnel,omitempty"`
	// Ask tells that somebody is there for Prompts.
	Ask bool `json:"ask"`
}

// Event is a line of the stream that answers Opening. One of the fields is set. Each
// ends the question of the Prompt before it, answered or not.
type Event struct {
	Prompt *Prompt `json:"prompt,omitempty"`
	Done   *Tunnel `json:"done,omitempty"`  // it is up; the last event
	Error  *Error  `json:"error,omitempty"` // it is not; the last event
}

// Prompt is a question for the person in front of the command.
type Prompt struct {
	ID     string `json:"id"`
	Text   string `json:"text"`
	Secret bool   `json:"secret"` // to be typed without echo
}

// Answer answers a Prompt.
type Answer struct {
	Text    []byte `json:"text"`    // in base64, for a password need not be UTF-8
	Refused bool   `json:"refused"` // Ctrl-C, or there is nobody after all
}

// Reloaded tells what a reload did, by tunnels' names.
type Reloaded struct {
	Added     []string `json:"added"`
	Changed   []string `json:"changed"` // and restarted, where they were up and would work in another way
	Removed   []string `json:"removed"` // and closed
	Unchanged []string `json:"unchanged"`
}

// Error is whatever went wrong, as the commands tell it.
type Error struct {
	Text  string    `json:"text"`
	Hints []string  `json:"hints,omitempty"` // what to do, most useful first
	Code  int       `json:"code"`            // what a command that fails for it exits with
	Time  time.Time `json:"time"`

	Status int `json:"-"` // of HTTP; 0 is 500
}

func (e *Error) Error() string { return e.Text }
