package agent

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"testing"
	"testing/synctest"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
	"github.com/pasvport/pasvport/cmd/pasvport/internal/prompt"
)

// quiet is a line that is up until it is told to end, and counts its Listens.
type quiet struct{ opened *int }

func (quiet) Connect(context.Context) error   { return nil }
func (quiet) Greets(context.Context) error    { return nil }
func (q quiet) Listen([]net.Listener) error   { *q.opened++; return nil }
func (quiet) Serve(ctx context.Context) error { <-ctx.Done(); return nil }
func (quiet) Close()                          {}
func (quiet) Show(*api.Tunnel)                {}
func (quiet) StopSession(int64) bool          { return false }

// TestReloadUp reloads a file while its tunnel is up, and counts how often that was opened.
func TestReloadUp(t *testing.T) {
	grace := config.Duration(config.AgentGrace)
	before := config.Tunnel{Host: "prod"}
	for _, test := range []struct {
		name      string
		after     config.Tunnel
		opened    int
		changed   []string
		unchanged []string
	}{
		{"nothing", before, 1, nil, []string{"prod"}},
		{"autostart", config.Tunnel{Host: "prod", Autostart: true}, 1, []string{"prod"}, nil},
		{"defaults", config.Tunnel{Host: "prod", Listen: []string{config.DefaultBind}, Data: "auto", Grace: &grace}, 1, []string{"prod"}, nil},
		{"data", config.Tunnel{Host: "prod", Data: "passive"}, 2, []string{"prod"}, nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				file := &config.File{Tunnels: map[string]config.Tunnel{"prod": before}}
				opened := 0
				a := New(Options{
					Open: func(string, config.Tunnel, *prompt.Asker, func(Change)) (Line, error) {
						return quiet{&opened}, nil
					},
					Load:    func() (*config.File, error) { return file, nil },
					Apply:   func(config.Agent) error { return nil },
					Explain: func(err error) *api.Error { return &api.Error{Text: err.Error(), Time: time.Now()} },
					Metrics: func(func() *api.Status) http.Handler { return http.NotFoundHandler() },
					Logger:  slog.New(slog.DiscardHandler),
				})
				if err := a.Start(); err != nil {
					t.Fatal(err)
				}
				if _, err := a.Up(t.Context(), "prod", api.Opening{}, nil); err != nil {
					t.Fatal(err)
				}
				file = &config.File{Tunnels: map[string]config.Tunnel{"prod": test.after}}
				r, err := a.Reload()
				if err != nil {
					t.Fatal(err)
				}
				synctest.Wait()
				if opened != test.opened || !reflect.DeepEqual(r.Changed, test.changed) || !reflect.DeepEqual(r.Unchanged, test.unchanged) {
					t.Errorf("opened %d times, %+v", opened, r)
				}
				// It has the file's settings now, and is there.
				if _, err := a.Up(t.Context(), "prod", api.Opening{}, nil); err != nil {
					t.Error(err)
				}
				if opened != test.opened {
					t.Errorf("opened %d times", opened)
				}
				a.downAll()
			})
		})
	}
}
