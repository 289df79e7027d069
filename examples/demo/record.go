package main

import (
	"context"
	"log/slog"
	"slices"
	"sync"
)

// A record is what a server notes of its connections, in their order.
type record struct {
	mu    sync.Mutex
	lines []line
}

type line struct{ what, addr string }

func (r *record) note(what string, addr string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines = append(r.lines, line{what, addr})
}

func (r *record) list() []line {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.lines)
}

// A logFunc is a slog.Handler made of one function.
type logFunc func(slog.Record)

func (f logFunc) Enabled(context.Context, slog.Level) bool      { return true }
func (f logFunc) Handle(_ context.Context, r slog.Record) error { f(r); return nil }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler            { return f }
func (f logFunc) WithGroup(string) slog.Handler                 { return f }

// logged returns what r holds under key.
func logged(r slog.Record, key string) (text string) {
	r.Attrs(func(a slog.Attr) bool {
		if a.Key == key {
			text = a.Value.Resolve().String()
		}
		return true
	})
	return text
}
