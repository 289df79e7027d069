package top

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// An item can be selected: a tunnel, or one of its sessions.
type item struct {
	tunnel  *api.Tunnel
	session *api.Session // nil for the tunnel itself
}

// key tells an item from others, also after the next poll, and names its history.
func (i item) key() string {
	if i.session != nil {
		return sessionKey(i.session)
	}
	return tunnelKey(i.tunnel)
}

func tunnelKey(t *api.Tunnel) string { return "tunnel " + t.Name }

func tunnelKeyOf(t *api.Tunnel, upload bool) string {
	if upload {
		return "up " + t.Name
	}
	return "down " + t.Name
}

func sessionKey(s *api.Session) string   { return "session " + strconv.FormatInt(s.ID, 10) }
func transferKey(t *api.Transfer) string { return "transfer " + strconv.FormatInt(t.ID, 10) }

// figures are what items are sorted by.
type figures struct {
	name  string
	rate  float64
	bytes int64
	since time.Time
}

// orders are what s cycles through. Greater rates and counts come first, and what
// is older; what is equal stays by name, or by id.
var orders = []struct {
	name    string
	compare func(a, b figures) int
}{
	{"name", func(a, b figures) int { return cmp.Compare(a.name, b.name) }},
	{"rate", func(a, b figures) int { return cmp.Compare(b.rate, a.rate) }},
	{"bytes", func(a, b figures) int { return cmp.Compare(b.bytes, a.bytes) }},
	{"age", func(a, b figures) int { return a.since.Compare(b.since) }},
}

// list is what is shown, in order: of s, what the filter lets through. A tunnel that
// matches has all of its sessions with it, a session that matches its tunnel.
func (m *model) list(s *api.Status) []item {
	var items []item
	for _, t := range m.sortedTunnels(s) {
		whole := m.matches(t.Name, t.Host, t.SSH, string(t.State), addresses(t))
		sessions := m.sortedSessions(t)
		if !whole {
			sessions = slices.DeleteFunc(sessions, func(s *api.Session) bool { return !m.matchesSession(s) })
		}
		if !whole && len(sessions) == 0 {
			continue
		}
		items = append(items, item{tunnel: t})
		for _, s := range sessions {
			items = append(items, item{t, s})
		}
	}
	return items
}

func (m *model) sortedTunnels(s *api.Status) []*api.Tunnel {
	return sorted(s.Tunnels, orders[m.order].compare, func(t *api.Tunnel) figures {
		return figures{t.Name, m.rate(tunnelKey(t)), t.Totals.BytesDown + t.Totals.BytesUp, t.Since}
	})
}

func (m *model) sortedSessions(t *api.Tunnel) []*api.Session {
	return sorted(t.Sessions, orders[m.order].compare, func(s *api.Session) figures {
		return figures{s.User, m.rate(sessionKey(s)), s.BytesDown + s.BytesUp, s.Since}
	})
}

func sorted[T any](all []T, compare func(a, b figures) int, of func(*T) figures) []*T {
	list := make([]*T, len(all))
	for i := range all {
		list[i] = &all[i]
	}
	slices.SortStableFunc(list, func(a, b *T) int { return compare(of(a), of(b)) })
	return list
}

func (m *model) matchesSession(s *api.Session) bool {
	if m.matches(s.Client, s.User, "#"+strconv.FormatInt(s.ID, 10)) {
		return true
	}
	return slices.ContainsFunc(s.Transfers, func(t api.Transfer) bool { return m.matches(t.Name, t.Verb) })
}

// matches tells whether one of texts contains the filter, whatever its case.
func (m *model) matches(texts ...string) bool {
	return slices.ContainsFunc(texts, func(text string) bool {
		return strings.Contains(strings.ToLower(text), strings.ToLower(m.filter))
	})
}

func addresses(t *api.Tunnel) string {
	var list []string
	for _, l := range t.Listens {
		list = append(list, l.Address)
	}
	return strings.Join(list, ", ")
}
