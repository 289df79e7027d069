package top

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/view"
)

// View is the screen: a heading, the items as far as there is room, and a foot.
func (m *model) View() tea.View {
	v := tea.NewView(strings.Join(m.screen(), "\n"))
	v.AltScreen = true
	return v
}

// screen has at most height lines of at most width cells.
func (m *model) screen() []string {
	if m.width <= 0 || m.height <= 0 {
		return nil
	}
	foot := m.foot()
	lines := append([]string{m.heading()}, m.body()...)
	if foot != "" {
		for len(lines) < m.height-1 {
			lines = append(lines, "")
		}
		lines = append(lines, foot)
	}
	return lines[:min(len(lines), m.height)]
}

// room is the number of lines between heading and foot.
func (m *model) room() int {
	room := m.height - 1
	if m.foot() != "" {
		room--
	}
	return max(room, 0)
}

// body is what stands between heading and foot.
func (m *model) body() []string {
	var text []string
	switch {
	case m.err != nil:
		text = []string{
			styled(view.CutEnd("the agent does not answer: "+view.Clean(m.err.Error()), m.width), join(bold, red)),
			view.CutEnd("it is asked again and again; `pasvport up HOST` starts one", m.width),
		}
	case m.status == nil:
		text = []string{view.CutEnd("asking the agent", m.width)}
	case len(m.status.Tunnels) == 0:
		text = []string{view.CutEnd("no tunnels; `pasvport up HOST` opens one", m.width)}
	case len(m.items) == 0:
		text = []string{view.CutEnd(fmt.Sprintf("nothing has %q in it; Esc shows all", view.Clean(m.filter)), m.width)}
	default:
		text = m.lines[m.offset:]
	}
	return text[:min(len(text), m.room())]
}

func (m *model) heading() string {
	cells := []cell{{text: "pasvport top", keep: 2}}
	if s := m.status; s != nil {
		sessions, transfers := 0, 0
		for i := range s.Tunnels {
			sessions += len(s.Tunnels[i].Sessions)
			transfers += view.Transfers(&s.Tunnels[i])
		}
		counts := strings.Join([]string{view.Plural(len(s.Tunnels), "tunnel"), view.Plural(sessions, "session"), view.Plural(transfers, "transfer")}, ", ")
		cells = append(cells, cell{text: counts, keep: 4}, cell{text: fmt.Sprintf("agent %d up %s", s.PID, view.Duration(m.at.Sub(s.Since))), keep: 1})
	}
	if m.filter != "" && m.mode != filtering {
		cells = append(cells, cell{text: view.CutMiddle("only "+view.Clean(m.filter), 25), keep: 5, style: yellow})
	}
	cells = append(cells, cell{width: 1, grow: func(int) string { return "" }, keep: 6}, cell{text: "by " + orders[m.order].name, keep: 3})
	return row(m.width, "", bold, cells...)
}

// foot is the question, the filter that is being typed, what came of the last key, or the keys.
func (m *model) foot() string {
	switch {
	case m.mode == asking:
		return styled(view.CutEnd(question(m.asked), m.width), join(bold, yellow))
	case m.mode == filtering:
		return m.filterLine()
	case m.message != "":
		return styled(view.CutEnd(m.message, m.width), bold)
	case !m.help:
		return ""
	}
	return row(m.width, "", faint,
		cell{text: "q quit"},
		cell{text: "↑↓ select", keep: 4},
		cell{text: "x stop session", keep: 5},
		cell{text: "s sort", keep: 6},
		cell{text: "/ filter", keep: 7},
		cell{text: "Esc show all", keep: 1},
		cell{text: "? hide keys", keep: 2},
	)
}

// filterLine shows what is typed, and a cursor.
func (m *model) filterLine() string {
	const cursor, advice = "█", "Enter keeps it, Esc shows all"
	text := view.Clean(m.filter)
	return row(m.width, "", plain,
		cell{text: "/" + text + cursor, style: bold},
		cell{text: advice, keep: 1, style: faint},
	)
}

// widths are those of columns, the widest of all items.
type widths struct{ name, state, id, client, user int }

func (m *model) measure() (w widths) {
	for _, i := range m.items {
		if s := i.session; s != nil {
			w.id = max(w.id, len(sessionID(s)))
			w.client = max(w.client, view.Width(view.Clean(s.Client)))
			w.user = max(w.user, view.Width(userText(s)))
			continue
		}
		w.name = max(w.name, view.Width(view.Clean(i.tunnel.Name)))
		w.state = max(w.state, view.Width(view.StateText(i.tunnel, m.at)))
	}
	return w
}

// drawItem draws an item on lines of its own.
func (m *model) drawItem(i item) []string {
	marker, style := "  ", plain
	if i.key() == m.selected {
		marker, style = "> ", bold
	}
	if i.session != nil {
		return append([]string{m.sessionLine(i.session, marker, style)}, m.transferLines(i.session)...)
	}
	lines := []string{m.tunnelLine(i.tunnel, marker, style), m.wayLine(i.tunnel)}
	return append(lines, m.notes(i.tunnel)...)
}

var stateStyles = map[api.State]string{
	api.Up:           green,
	api.Connecting:   yellow,
	api.Reconnecting: yellow,
	api.Stopping:     yellow,
	api.NeedsLogin:   red,
	api.Failed:       red,
	api.Down:         faint,
}

// tunnelLine has the tunnel's name, state and throughput.
func (m *model) tunnelLine(t *api.Tunnel, marker, style string) string {
	down, up := m.rateCell(t, false, 3), m.rateCell(t, true, 2)
	if m.rate(tunnelKeyOf(t, true)) > m.rate(tunnelKeyOf(t, false)) {
		down.keep, up.keep = up.keep, down.keep // where there is room for one, the one that says more
	}
	return row(m.width, marker, style,
		cell{text: view.Clean(t.Name), width: min(m.widths.name, 20, max(m.width/4, 6)), style: bold},
		cell{text: view.StateText(t, m.at), width: min(m.widths.state, 20), style: stateStyles[t.State]},
		cell{width: 8, keep: 1, style: cyan, grow: func(width int) string { return m.spark(t, width) }},
		down,
		up,
	)
}

// rateCell is blank for a tunnel that is not up and moves nothing.
func (m *model) rateCell(t *api.Tunnel, upload bool, keep int) cell {
	c := cell{width: 13, keep: keep}
	if rate := m.rate(tunnelKeyOf(t, upload)); rate > 0 || t.State == api.Up {
		c.text = view.Arrow(upload) + " " + view.Rate(rate)
	}
	return c
}

// spark is the tunnel's last minute, blank where it was not up and moved nothing.
func (m *model) spark(t *api.Tunnel, width int) string {
	bars := m.grown[tunnelKey(t)].bars(min(width, int(remembered/time.Second)))
	if t.State != api.Up && slices.Max(bars) == 0 {
		return ""
	}
	return sparkline(bars)
}

// wayLine tells from where to where a tunnel leads, and what went through it.
func (m *model) wayLine(t *api.Tunnel) string {
	parts := []string{}
	add := func(text string) {
		if text != "" {
			parts = append(parts, view.Clean(text))
		}
	}
	add(addresses(t))
	add(view.SSHText(t))
	if t.Totals.BytesDown > 0 || t.Totals.BytesUp > 0 {
		add(view.Bytes(t.Totals.BytesDown) + " down")
		add(view.Bytes(t.Totals.BytesUp) + " up")
	}
	return styled(view.CutEnd("    "+strings.Join(parts, gap), m.width), faint)
}

// notes tell why a tunnel is not up, and what to do.
func (m *model) notes(t *api.Tunnel) []string {
	var lines []string
	add := func(text string) {
		lines = append(lines, styled(view.CutEnd("  ! "+text, m.width), red))
	}
	if t.Error != nil && t.State != api.Up && t.State != api.Down {
		add(view.ErrorText(t.Error, m.at))
	}
	if t.State == api.Reconnecting && t.Retry.After(m.at) {
		add("next attempt in " + view.Duration(t.Retry.Sub(m.at)))
	}
	if t.Mend != "" {
		add("type: " + view.Clean(t.Mend))
	}
	return lines
}

// sessionLine has the client and the FTP user, and what the session moved.
func (m *model) sessionLine(s *api.Session, marker, style string) string {
	doing := ""
	if len(s.Transfers) == 0 {
		doing = "idle"
	}
	return row(m.width, marker+"  ", style,
		cell{text: sessionID(s), width: m.widths.id},
		cell{text: view.Clean(s.Client), width: min(m.widths.client, 30), keep: 9},
		cell{text: userText(s), width: min(m.widths.user, 16), keep: 8, style: cyan},
		cell{text: view.Duration(m.at.Sub(s.Since)), width: 6, keep: 6},
		cell{text: "↓ " + view.Bytes(s.BytesDown), width: 11, keep: 5},
		cell{text: "↑ " + view.Bytes(s.BytesUp), width: 11, keep: 4},
		cell{text: doing, keep: 7, style: faint},
	)
}

func sessionID(s *api.Session) string { return "#" + strconv.FormatInt(s.ID, 10) }

func userText(s *api.Session) string { return cmp.Or(view.Clean(s.User), "-") }

// transferLines are a session's transfers: each with a bar where its size is known.
func (m *model) transferLines(s *api.Session) []string {
	var lines []string
	for i := range s.Transfers {
		t := &s.Transfers[i]
		rate := m.rate(transferKey(t))
		var bars, percent, left string
		barWidth := max(m.width/8, 4)
		if share, ok := progress(t); ok {
			bars, percent = bar(share, barWidth), fmt.Sprintf("%d%%", int(share*100))
			left = leftText(t, rate)
		}
		name := view.Arrow(t.Upload) + " " + view.TransferName(*t)
		lines = append(lines, row(m.width, "      ", plain,
			cell{width: 10, grow: func(width int) string { return view.CutMiddle(name, width) }},
			cell{text: view.Bytes(t.Bytes), width: 9, right: true, keep: 2},
			cell{text: view.Rate(rate), width: 11, right: true, keep: 4},
			cell{text: bars, width: barWidth, keep: 1, style: green},
			cell{text: percent, width: 4, right: true, keep: 5},
			cell{text: left, width: 11, right: true, keep: 3},
		))
	}
	return lines
}

// progress is how much of the file is through, from 0 to 1, where its size is known.
func progress(t *api.Transfer) (float64, bool) {
	switch {
	case t.Size == nil:
		return 0, false
	case *t.Size <= 0:
		return 1, true
	}
	return min(max(float64(t.Offset+t.Bytes)/float64(*t.Size), 0), 1), true
}

// leftText is how long the rest will take at this rate; "" where that cannot be said.
func leftText(t *api.Transfer, rate float64) string {
	rest := float64(*t.Size - t.Offset - t.Bytes)
	if rate <= 0 || rest <= 0 {
		return ""
	}
	seconds := rest / rate
	if seconds > (1000 * time.Hour).Seconds() {
		return ""
	}
	return view.Duration(time.Duration(seconds*float64(time.Second))) + " left"
}
