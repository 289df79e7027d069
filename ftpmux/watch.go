package ftpmux

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// A Sequence numbers sessions and transfers, from 1. Muxes that share one have no
// number twice. The zero value is ready for use.
type Sequence struct{ sessions, transfers atomic.Int64 }

// SessionInfo is what there is to see of one session.
type SessionInfo struct {
	ID        int64          // the log's session
	Client    string         // host:port of the client's program
	User      string         // the last USER's, fit for one line; "" before it
	Since     time.Time      // the server was reached
	BytesDown int64          // of all its data connections, to the client
	BytesUp   int64          // ... and to the server
	Transfers []TransferInfo // under way, in the order of their commands; none or one, hardly ever more
}

// TransferInfo is what there is to see of one transfer.
type TransferInfo struct {
	ID     int64     // the log's transfer
	Verb   string    // in upper case, fit for one line
	Name   string    // its argument, fit for one line; may be ""
	Upload bool      // else a download, as listings are
	Bytes  int64     // moved by this transfer
	Offset int64     // REST's: where in the file it began
	Size   *int64    // of the whole file; nil where it is not known
	Since  time.Time // the command went to the server
}

// TransferEnd is a transfer that is over, and how it ended.
type TransferEnd struct {
	TransferInfo
	Session  int64  // its ID
	Began    bool   // else it was refused, here or by the server
	Reason   string // why it is not complete, fit for one line; "" for one that is
	Duration time.Duration
}

// Complete tells whether the transfer has done what was asked for.
func (e *TransferEnd) Complete() bool { return e.Reason == "" }

// Totals count up from a mux's beginning.
type Totals struct {
	Sessions  int64 // that began
	Downloads int64 // that completed, listings among them
	Uploads   int64 // that completed
	Failed    int64 // transfers that began and did not complete
	BytesDown int64 // of data connections, also of those under way
	BytesUp   int64
}

// tally is what Totals are made of.
type tally struct {
	sessions, downloads, uploads, failed, down, up atomic.Int64
}

// view is what others see of a session. Its loop publishes there what they may
// read at any time; it never waits for them.
type view struct {
	id        int64
	client    string
	since     time.Time
	user      atomic.Pointer[string]
	transfers atomic.Pointer[[]*record] // under way; what is published is not changed
	down, up  atomic.Int64              // bytes
	stop      chan struct{}             // gets a value when somebody wants the session's end
}

// views are those of a mux's sessions.
type views struct {
	mu sync.Mutex
	of map[int64]*view // by id
}

// add makes the view of a session that begins.
func (vs *views) add(id int64, client string) *view {
	v := &view{id: id, client: client, since: time.Now(), stop: make(chan struct{}, 1)}
	vs.mu.Lock()
	defer vs.mu.Unlock()
	if vs.of == nil {
		vs.of = make(map[int64]*view)
	}
	vs.of[id] = v
	return v
}

func (vs *views) remove(v *view) {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	delete(vs.of, v.id)
}

func (vs *views) get(id int64) *view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return vs.of[id]
}

func (vs *views) all() []*view {
	vs.mu.Lock()
	defer vs.mu.Unlock()
	return slices.Collect(maps.Values(vs.of))
}

// Sessions returns the sessions under way, those that have reached the server, by ID. Any goroutine may call it, and no
// session waits for it.
func (m *Mux) Sessions() []SessionInfo {
	all := m.views.all()
	slices.SortFunc(all, func(a, b *view) int { return cmp.Compare(a.id, b.id) })
	infos := make([]SessionInfo, len(all))
	for i, v := range all {
		infos[i] = v.info()
	}
	return infos
}

func (v *view) info() SessionInfo {
	info := SessionInfo{ID: v.id, Client: v.client, Since: v.since, BytesDown: v.down.Load(), BytesUp: v.up.Load()}
	if user := v.user.Load(); user != nil {
		info.User = *user
	}
	if transfers := v.transfers.Load(); transfers != nil {
		for _, r := range *transfers {
			info.Transfers = append(info.Transfers, r.info())
		}
	}
	return info
}

// Totals returns what the mux has done so far. Any goroutine may call it. None of
// the numbers ever falls, though they need not all be of the same moment.
func (m *Mux) Totals() Totals {
	t := &m.tally
	return Totals{
		Sessions:  t.sessions.Load(),
		Downloads: t.downloads.Load(),
		Uploads:   t.uploads.Load(),
		Failed:    t.failed.Load(),
		BytesDown: t.down.Load(),
		BytesUp:   t.up.Load(),
	}
}

// StopSession ends the session with that id: its client gets a 421, and a transfer
// under way is broken. It returns at once; false means that there is no such session.
// Any goroutine may call it.
func (m *Mux) StopSession(id int64) bool {
	v := m.views.get(id)
	if v == nil {
		return false
	}
	select {
	case v.stop <- struct{}{}:
	default: // it was told already
	}
	return true
}

func (m *Mux) ids() *Sequence {
	if m.IDs == nil {
		return &m.ownIDs
	}
	return m.IDs
}
