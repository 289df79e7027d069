package api

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// answerNothing is for a tunnel that asks nothing.
func answerNothing(context.Context, Prompt) (Answer, error) {
	return Answer{}, errors.New("there was nothing to ask")
}

// TestRequests makes every request, and has each refused too.
func TestRequests(t *testing.T) {
	o := Opening{Tunnel: &config.Tunnel{Host: "anna@prod", Listen: []string{"2122"}, Option: []string{"User=x"}, Verbose: 2}, Ask: true}
	up := &Tunnel{Name: "prod", State: Up}
	since := time.Date(2026, 11, 22, 12, 0, 0, 5e8, time.UTC)
	status := Status{Schema: SchemaVersion, PID: 7, Since: since, Tunnels: []Tunnel{{Name: "prod", State: Reconnecting, Retry: since}}}
	for _, tt := range []struct {
		name  string
		ask   func(*Client, context.Context) (any, error)
		heard any // nil for nothing
		want  any
	}{
		{"status", func(c *Client, ctx context.Context) (any, error) { return c.Status(ctx) }, nil, &status},
		{"up", func(c *Client, ctx context.Context) (any, error) { return c.Up(ctx, "prod", o, answerNothing) },
			heardOpening{"up", "prod", o, true}, up},
		{"up, with nobody to ask", func(c *Client, ctx context.Context) (any, error) { return c.Up(ctx, "prod", Opening{}, answerNothing) },
			heardOpening{"up", "prod", Opening{}, false}, up},
		{"restart", func(c *Client, ctx context.Context) (any, error) { return c.Restart(ctx, "prod", o, answerNothing) },
			heardOpening{"restart", "prod", o, true}, up},
		{"down", func(c *Client, ctx context.Context) (any, error) { return c.Down(ctx, "prod") }, heardDown("prod"), up},
		{"stop a session", func(c *Client, ctx context.Context) (any, error) { return nil, c.StopSession(ctx, 1<<40) }, heardStop(1 << 40), nil},
		{"reload", func(c *Client, ctx context.Context) (any, error) { return c.Reload(ctx) }, heardVerb("reload"),
			&Reloaded{Added: []string{"a"}, Changed: []string{"b", "c"}}},
		{"stop", func(c *Client, ctx context.Context) (any, error) { return nil, c.Stop(ctx) }, heardVerb("stop"), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := &fake{status: status}
			client := f.start(t)
			got, err := tt.ask(client, t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if tt.want != nil && !same(got, tt.want) {
				t.Errorf("got %+v, want %+v", got, tt.want)
			}
			if tt.heard != nil {
				if heard := <-f.heard; !reflect.DeepEqual(heard, tt.heard) {
					t.Errorf("the agent heard %+v, want %+v", heard, tt.heard)
				}
			}
			if tt.heard == nil || tt.name == "stop" {
				return // which cannot fail
			}

			refusal := &Error{Text: "no", Hints: []string{"do this", "or that"}, Code: 255, Time: since, Status: http.StatusNotFound}
			for _, f.err = range []error{refusal, fmt.Errorf("wrapped: %w", refusal)} {
				_, err = tt.ask(client, t.Context())
				e, ok := errors.AsType[*Error](err)
				streams := e != nil && e.Status == 0 // whose status was 200 before
				if !ok || e.Text != "no" || !slices.Equal(e.Hints, refusal.Hints) || e.Code != 255 || !e.Time.Equal(since) ||
					e.Status != http.StatusNotFound && !streams {
					t.Errorf("refused: %#v, want %#v", err, refusal)
				}
			}
			f.err = errors.New("what nobody has thought of")
			_, err = tt.ask(client, t.Context())
			if e, ok := errors.AsType[*Error](err); !ok || e.Text != f.err.Error() || e.Code != 1 {
				t.Errorf("failed: %#v, want %v", err, f.err)
			}
		})
	}
}

// same compares replies, whose empty lists are not nil.
func same(a, b any) bool { return fmt.Sprintf("%+v", a) == fmt.Sprintf("%+v", b) }

// TestNames asks for tunnels of all kinds of names.
func TestNames(t *testing.T) {
	f := &fake{}
	client := f.start(t)
	for _, name := range []string{"prod", "anna@prod", "a b", "a/b", ".", "..", "../../stop", "%2e", "ü", "a?b#c", "\n", "\x00\xff", "up", "::1", strings.Repeat("x", 1000)} {
		if _, err := client.Down(t.Context(), name); err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if heard := <-f.heard; heard != heardDown(name) {
			t.Errorf("%q: the agent heard %q", name, heard)
		}
	}
	if _, err := client.Down(t.Context(), ""); err == nil {
		t.Errorf("a tunnel without a name: the agent heard %q", <-f.heard)
	}
}

// raw makes a request as it stands, and returns the reply's status and body.
func raw(t *testing.T, c *Client, version, method, path, body string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://agent"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set(header, version)
	reply, err := c.http.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer reply.Body.Close()
	text, err := io.ReadAll(reply.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply.StatusCode, string(text)
}

// TestNonsense makes requests that make no sense; the agent hears of none.
func TestNonsense(t *testing.T) {
	f := &fake{}
	client := f.start(t)
	for _, tt := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"GET", "/", "", 404, "there is no GET /"},
		{"GET", "/v1/reload", "", 404, "there is no GET /v1/reload"},
		{"POST", "/v1/status", "", 404, "there is no POST /v1/status"},
		{"POST", "/v1/tunnels/prod/explode", "{}", 404, "there is no POST /v1/tunnels/prod/explode"},
		{"POST", "/v1/tunnels/prod/up", "", 400, "makes no sense"},
		{"POST", "/v1/tunnels/prod/up", "{", 400, "makes no sense"},
		{"POST", "/v1/tunnels/prod/up", "[]", 400, "makes no sense"},
		{"POST", "/v1/tunnels/prod/up", "{} {}", 400, "more than one JSON value"},
		{"POST", "/v1/tunnels/prod/up", "{} }", 400, "more than one JSON value"},
		{"POST", "/v1/tunnels/prod/restart", `{"asks": true}`, 400, `unknown field \"asks\"`},
		{"POST", "/v1/tunnels/prod/up", `{"tunnel": {"hosts": "x"}}`, 400, `unknown field \"hosts\"`},
		{"POST", "/v1/tunnels/prod/up", `{"tunnel": {"grace": "soon"}}`, 400, "makes no sense"},
		{"POST", "/v1/tunnels/prod/up", `{"ask": true` + strings.Repeat(" ", maxBody) + "}", 400, "too large"},
		{"POST", "/v1/prompts/x", "{}", 404, "not asked any more"},
		{"POST", "/v1/prompts/x", `{"text": 1}`, 400, "makes no sense"},
		{"POST", "/v1/prompts/x", `{"text": "` + strings.Repeat("x", maxBody) + `"}`, 400, "too large"},
		{"POST", "/v1/sessions/one/stop", "", 400, `\"one\" is no session's id`},
		{"POST", "/v1/sessions/99999999999999999999/stop", "", 400, "is no session's id"},
	} {
		status, text := raw(t, client, "1", tt.method, tt.path, tt.body)
		if status != tt.status || !strings.Contains(text, tt.says) {
			t.Errorf("%s %s %.40s: %d %s, want %d %q", tt.method, tt.path, tt.body, status, text, tt.status, tt.says)
		}
	}
	if len(f.heard) > 0 {
		t.Errorf("the agent heard %+v", <-f.heard)
	}
}

// TestMetrics scrapes as Prometheus does, which knows no versions of ours.
func TestMetrics(t *testing.T) {
	client := new(fake).start(t)
	if status, text := raw(t, client, "", "GET", "/v1/metrics", ""); status != 200 || text != "pasvport 1\n" {
		t.Errorf("got %d %q", status, text)
	}
}

// TestOtherCommand has a command of another version ask.
func TestOtherCommand(t *testing.T) {
	for _, version := range []string{"", "0", "2", "1.0", "x"} {
		f := &fake{}
		client := f.start(t)
		for _, request := range []string{
			"GET /v1/status", "POST /v1/tunnels/prod/up", "POST /v1/tunnels/prod/restart", "POST /v1/tunnels/prod/down",
			"POST /v1/prompts/x", "POST /v1/sessions/1/stop", "POST /v1/reload",
		} {
			method, path, _ := strings.Cut(request, " ")
			status, text := raw(t, client, version, method, path, "{}")
			if status != http.StatusConflict || !strings.Contains(text, `"hints":["pasvport agent stop`) {
				t.Errorf("version %q: %s: %d %s", version, request, status, text)
			}
		}
		if len(f.heard) > 0 {
			t.Errorf("version %q: the agent heard %+v", version, <-f.heard)
		}
		if status, text := raw(t, client, version, "POST", "/v1/stop", ""); status != http.StatusOK {
			t.Errorf("version %q: stopping: %d %s", version, status, text)
		}
	}
}

// TestOtherAgent asks agents of other versions.
func TestOtherAgent(t *testing.T) {
	client := New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set(header, "7")
		if r.URL.Path == "/v1/stop" {
			io.WriteString(w, "who knows what that will be")
			return
		}
		w.WriteHeader(http.StatusConflict)
		io.WriteString(w, "who knows what that will be")
	})))
	_, byStatus := client.Status(t.Context())
	_, byUp := client.Up(t.Context(), "prod", Opening{}, answerNothing)
	for _, err := range []error{byStatus, byUp} {
		e, ok := errors.AsType[*Error](err)
		if !ok || !strings.Contains(e.Text, `version "7"`) || !strings.Contains(e.Text, `this command "1"`) ||
			len(e.Hints) != 1 || !strings.HasPrefix(e.Hints[0], "pasvport agent stop ") || e.Code != 1 {
			t.Errorf("got %#v", err)
		}
	}
	if err := client.Stop(t.Context()); err != nil {
		t.Errorf("stopping it: %v", err)
	}
}

// TestNoSense asks something else than an agent.
func TestNoSense(t *testing.T) {
	for _, reply := range []string{"", "not JSON", `{"pid": "x"}`, `[`, "{}\n"} {
		client := New(serve(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, "1")
			if strings.Contains(r.URL.Path, "tunnels") {
				io.WriteString(w, reply)
				return
			}
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, reply)
		})))
		if tunnel, err := client.Up(t.Context(), "prod", Opening{}, answerNothing); err == nil {
			t.Errorf("up: %q is taken as %+v", reply, tunnel)
		}
		if s, err := client.Status(t.Context()); err == nil || err.Error() == "" {
			t.Errorf("status: %q is taken as %+v, %v", reply, s, err)
		}
	}
	client := New(serve(t, http.RedirectHandler("http://127.0.0.1:1/", http.StatusFound)))
	if _, err := client.Status(t.Context()); err == nil || errors.Is(err, ErrNoAgent) {
		t.Errorf("a redirect: %v", err)
	}
}

// TestNoReply asks an agent that hangs.
func TestNoReply(t *testing.T) {
	client := New(serve(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := client.Status(ctx)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != 1 || len(e.Hints) == 0 {
		t.Errorf("got %v, want what to do", err)
	}
}

// TestNoAgent asks where there is none.
func TestNoAgent(t *testing.T) {
	dir := t.TempDir()
	long := filepath.Join(dir, strings.Repeat("x", 200))
	for _, socket := range []string{filepath.Join(dir, "none"), filepath.Join(dir, "no", "folder"), long, stale(t)} {
		client := New(socket)
		_, err := client.Status(t.Context())
		if !errors.Is(err, ErrNoAgent) || !errors.Is(client.Ping(), ErrNoAgent) {
			t.Errorf("%s: %v, %v; want ErrNoAgent", socket, err, client.Ping())
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	client := new(fake).start(t)
	if _, err := client.Status(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that is over: %v", err)
	}
	if err := client.Ping(); err != nil {
		t.Errorf("an agent that is there: %v", err)
	}
}
