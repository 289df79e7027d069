package top

import (
	"fmt"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

// page is how many items PgUp and PgDn go.
const page = 10

// keys are what keys do while browsing.
var keys = map[string]func(*model) tea.Cmd{
	"q":      (*model).quit,
	"up":     func(m *model) tea.Cmd { return m.move(-1) },
	"k":      func(m *model) tea.Cmd { return m.move(-1) },
	"down":   func(m *model) tea.Cmd { return m.move(1) },
	"j":      func(m *model) tea.Cmd { return m.move(1) },
	"pgup":   func(m *model) tea.Cmd { return m.move(-page) },
	"pgdown": func(m *model) tea.Cmd { return m.move(page) },
	"home":   func(m *model) tea.Cmd { return m.move(-len(m.items)) },
	"end":    func(m *model) tea.Cmd { return m.move(len(m.items)) },
	"s":      func(m *model) tea.Cmd { m.order = (m.order + 1) % len(orders); return nil },
	"/":      func(m *model) tea.Cmd { m.mode = filtering; return nil },
	"esc":    func(m *model) tea.Cmd { m.filter = ""; return nil },
	"x":      (*model).ask,
	"?":      func(m *model) tea.Cmd { m.help = !m.help; return nil },
}

// key does what a key means.
func (m *model) key(k tea.KeyPressMsg) tea.Cmd {
	switch k.String() {
	case "ctrl+c":
		return tea.Quit
	case "ctrl+z":
		return tea.Suspend
	}
	switch m.mode {
	case filtering:
		m.typed(k)
	case asking:
		return m.answered(k)
	default:
		if do := keys[k.String()]; do != nil {
			return do(m)
		}
	}
	return nil
}

func (m *model) quit() tea.Cmd { return tea.Quit }

// move goes n items down.
func (m *model) move(n int) tea.Cmd {
	if len(m.items) > 0 {
		m.selected = m.items[min(max(m.index()+n, 0), len(m.items)-1)].key()
	}
	return nil
}

// typed takes a key for the filter.
func (m *model) typed(k tea.KeyPressMsg) {
	switch k.String() {
	case "esc":
		m.filter, m.mode = "", browsing
	case "enter":
		m.mode = browsing
	case "backspace":
		_, size := utf8.DecodeLastRuneInString(m.filter)
		m.filter = m.filter[:len(m.filter)-size]
	default:
		m.filter += k.Text
	}
}

// ask asks whether to stop the selected session.
func (m *model) ask() tea.Cmd {
	i := m.index()
	if i < 0 || m.items[i].session == nil {
		m.message = "no session is selected"
		return nil
	}
	m.asked, m.mode = m.items[i].session, asking
	return nil
}

// answered stops the session that was asked about, if y is the answer.
func (m *model) answered(k tea.KeyPressMsg) tea.Cmd {
	m.mode = browsing
	if k.String() == "y" {
		return m.stop(m.asked)
	}
	m.message = "not stopped"
	return nil
}

func question(s *api.Session) string {
	return "stop " + sessionText(s) + "? y/n"
}

func stopMessage(s stopped) string {
	if s.err != nil {
		return fmt.Sprintf("%s is not stopped: %s", sessionText(s.session), view.Clean(s.err.Error()))
	}
	return sessionText(s.session) + " is stopped"
}

func sessionText(s *api.Session) string {
	text := fmt.Sprintf("session %d of %s", s.ID, view.Clean(s.Client))
	if s.User != "" {
		text += ", user " + view.Clean(s.User)
	}
	return text
}
