package ftpmux

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"
)

// record is one transfer as it is shown to others: from its command to its end,
// which there is once, however it ends. The session's loop makes and ends it; others
// read it once it is published.
type record struct {
	id     int64
	cmd    command
	log    *slog.Logger // of the session, with the transfer's id
	since  time.Time
	offset *atomic.Int64         // REST's
	size   atomic.Pointer[int64] // of the whole file; nil: not known
	data   *dataConn             // only its flows' moved bytes are for others; nil: it never began

	exact     bool     // the file is as long on the wire as it is on the server
	sizes     *sizes   // that are known of files
	key       string   // the file's there, or ""
	allocated int64    // ALLO's; 0: not known
	listing   *listing // reads along, or nil
}

// newRecord begins the record of a transfer that the client asks for by cmd.
func (s *session) newRecord(cmd command) *record {
	id := s.mux.ids().transfers.Add(1)
	r := &record{id: id, cmd: cmd, log: s.log.With("transfer", id), since: time.Now(), offset: s.offset}
	r.exact = s.exact() && !slices.Contains(s.restart, undoRANG)
	r.sizes, r.allocated, s.allocated = s.sizes, s.allocated, 0
	r.key, _ = nameKey(cmd.arg)
	if !s.compressed {
		r.listing = listingOf(cmd)
	}
	return r
}

// show publishes the record of a transfer of which the server is told now.
func (s *session) show(r *record, d *dataConn) {
	r.since, r.data = time.Now(), d
	s.offset = new(atomic.Int64)
	s.expect(r)
	s.shown = append(slices.Clone(s.shown), r)
	s.publish()
}

func (s *session) publish() {
	shown := s.shown
	s.view.transfers.Store(&shown)
}

// endRecord ends r, for a reason unless the transfer is complete. It comes before
// words of ours to the client, who can look at once.
func (s *session) endRecord(r *record, began bool, reason string) {
	s.shown = slices.DeleteFunc(slices.Clone(s.shown), func(other *record) bool { return other == r })
	s.publish()
	switch {
	case r.cmd.verb.direction != download:
		s.sizes = new(sizes) // what was told meanwhile is of half a file
	case reason == "" && r.listing != nil && r.data.down.eof && r.data.down.tap == r.listing:
		r.sizes.merge(r.listing)
	}
	info := r.info()
	t := &s.mux.tally
	switch {
	case reason != "" && began:
		t.failed.Add(1)
	case reason != "":
	case info.Upload:
		t.uploads.Add(1)
	default:
		t.downloads.Add(1)
	}
	if s.mux.Ended != nil {
		s.mux.Ended(TransferEnd{
			TransferInfo: info,
			Session:      s.view.id,
			Began:        began,
			Reason:       printable(reason),
			Duration:     time.Since(r.since),
		})
	}
}

// endRecords ends all that is left when the session is over.
func (s *session) endRecords() {
	if x := s.pending; x != nil {
		s.endRecord(x.record, false, s.reason)
	}
	for _, r := range s.shown {
		x := s.queue.first(func(x *exchange) bool { return x.record == r })
		s.endRecord(r, r.data.bytes() > 0 || x != nil && x.begun, s.reason)
	}
	for _, cmd := range s.waiting {
		if cmd.verb.transfers() {
			s.endRecord(s.newRecord(cmd), false, s.reason)
		}
	}
}

func (r *record) info() TransferInfo {
	info := TransferInfo{
		ID:     r.id,
		Verb:   printable(r.cmd.name),
		Upload: r.cmd.verb.direction == upload,
		Offset: r.offset.Load(),
		Size:   r.size.Load(),
		Since:  r.since,
	}
	if _, _, secret := r.cmd.hidden(); !secret {
		info.Name = printable(r.cmd.arg)
	}
	if d := r.data; d != nil {
		down, up := d.down.moved.Load(), d.up.moved.Load()
		info.Bytes = down + up
		info.Upload = info.Upload || r.cmd.verb.direction == eitherWay && up > down
	}
	if info.Size != nil && *info.Size-info.Offset < info.Bytes {
		info.Size = nil // the file is not what it was
	}
	if info.Size != nil {
		size := *info.Size
		info.Size = &size
	}
	return info
}

// logOf is where the log tells of x.
func (s *session) logOf(x *exchange) *slog.Logger {
	if x != nil && x.record != nil {
		return x.record.log
	}
	return s.log
}

// maxPrintable bounds what is shown of a text from outside.
const maxPrintable = 1 << 10

// printable makes a text from outside fit for one line of any terminal: what is no
// character to be seen becomes U+FFFD, and a line's end a space.
func printable(text string) string {
	text = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r), unicode.In(r, unicode.Zl, unicode.Zp):
			return ' '
		case unicode.IsGraphic(r), unicode.Is(unicode.Join_Control, r):
			return r
		}
		return unicode.ReplacementChar
	}, text)
	text = strings.TrimRight(text, " ")
	if len(text) > maxPrintable {
		text = strings.ToValidUTF8(text[:maxPrintable], "") + "…"
	}
	return text
}

// saying is the reason of a transfer that the server does not complete.
func saying(reply string) string { return fmt.Sprintf("the server says %s", reply) }
