package top

import (
	"context"
	"maps"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// The model is what is on the screen. Only Update changes it, by the messages below
// and bubbletea's own.
type model struct {
	ctx    context.Context // Run's; what asks the source ends with it
	source Source

	width, height int // of the terminal; 0 before it is known

	status *api.Status         // nil before the first, and while the agent is away
	err    error               // why it is away
	at     time.Time           // when status came
	grown  map[string]*history // by the key of what is counted

	order    int    // an index of orders
	filter   string // shown is what contains it
	selected string // an item's key
	mode     mode
	asked    *api.Session // that asking is about
	message  string       // what came of the last key; the next clears it
	help     bool         // the keys are shown

	items  []item   // what is shown of status
	lines  []string // items, drawn
	widths widths   // of items' columns
	offset int      // of the first line on the screen
}

// A mode is what keys mean.
type mode int

const (
	browsing  mode = iota
	filtering      // they are typed into the filter
	asking         // they answer whether to stop a session
)

// reply is what a Status call came back with.
type reply struct {
	status *api.Status
	err    error
	at     time.Time
}

// due is the time to ask again.
type due struct{}

// stopped is what a StopSession call came back with.
type stopped struct {
	session *api.Session
	err     error
}

func newModel(ctx context.Context, source Source) *model {
	return &model{ctx: ctx, source: source, grown: map[string]*history{}, help: true}
}

// Init asks the source for the first time.
func (m *model) Init() tea.Cmd { return m.poll }

// poll asks the source. There is one at a time: the reply starts the clock for the next.
func (m *model) poll() tea.Msg {
	ctx, cancel := context.WithTimeout(m.ctx, patience)
	defer cancel()
	status, err := m.source.Status(ctx)
	return reply{status, err, time.Now()}
}

// stop ends s at the source.
func (m *model) stop(s *api.Session) tea.Cmd {
	return func() tea.Msg {
		ctx, cancel := context.WithTimeout(m.ctx, patience)
		defer cancel()
		return stopped{s, m.source.StopSession(ctx, s.ID)}
	}
}

// Update takes a message, and draws anew what it changed.
func (m *model) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	var cmd tea.Cmd
	switch msg := msg.(type) {
	case tea.WindowSizeMsg:
		m.width, m.height = msg.Width, msg.Height
	case reply:
		m.take(msg)
		cmd = tea.Tick(interval, func(time.Time) tea.Msg { return due{} })
	case due:
		return m, m.poll
	case stopped:
		m.message = stopMessage(msg)
	case tea.PasteMsg:
		if m.mode == filtering {
			m.filter += msg.Content
		}
	case tea.KeyPressMsg:
		m.message = ""
		cmd = m.key(msg)
	}
	m.refresh()
	return m, cmd
}

// take takes what the source said. What it does not say any more is forgotten, so
// that nothing old is taken for what is.
func (m *model) take(r reply) {
	m.status, m.err, m.at = r.status, r.err, r.at
	if r.err != nil {
		m.status, m.grown = nil, map[string]*history{}
		m.mode = browsing
		return
	}
	seen := map[string]bool{}
	count := func(key string, bytes int64, since time.Time) {
		seen[key] = true
		h := m.grown[key]
		if h == nil {
			h = &history{}
			m.grown[key] = h
			if since.Before(r.at) && !since.IsZero() {
				h.add(since, 0)
			}
		}
		h.add(r.at, bytes)
	}
	var unknown time.Time // a counter that top did not see begin has no rate at first
	for i := range m.status.Tunnels {
		t := &m.status.Tunnels[i]
		count(tunnelKey(t), t.Totals.BytesDown+t.Totals.BytesUp, unknown)
		count(tunnelKeyOf(t, false), t.Totals.BytesDown, unknown)
		count(tunnelKeyOf(t, true), t.Totals.BytesUp, unknown)
		for j := range t.Sessions {
			s := &t.Sessions[j]
			count(sessionKey(s), s.BytesDown+s.BytesUp, unknown)
			for k := range s.Transfers {
				count(transferKey(&s.Transfers[k]), s.Transfers[k].Bytes, s.Transfers[k].Since)
			}
		}
	}
	maps.DeleteFunc(m.grown, func(key string, _ *history) bool { return !seen[key] })
}

func (m *model) rate(key string) float64 {
	if h := m.grown[key]; h != nil {
		return h.rate()
	}
	return 0
}

// refresh lists and draws the items, and scrolls to the one that is selected.
func (m *model) refresh() {
	before := m.index()
	m.items = nil
	if m.status != nil {
		m.items = m.list(m.status)
	}
	if len(m.items) > 0 && m.index() < 0 { // it is gone: take the next
		m.selected = m.items[min(max(before, 0), len(m.items)-1)].key()
	}
	m.lines, m.widths = nil, m.measure()
	var from, to int // the lines of the selected one
	for _, i := range m.items {
		if i.key() == m.selected {
			from = len(m.lines)
		}
		m.lines = append(m.lines, m.drawItem(i)...)
		if i.key() == m.selected {
			to = len(m.lines)
		}
	}
	room := m.room()
	m.offset = max(m.offset, to-room)
	m.offset = min(m.offset, from, max(len(m.lines)-room, 0))
}

// index is that of the selected item in items, -1 for none.
func (m *model) index() int {
	for i := range m.items {
		if m.items[i].key() == m.selected {
			return i
		}
	}
	return -1
}
