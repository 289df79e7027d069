package main

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/api"
)

// runStatus runs the command against an agent that says s.
func runStatus(t *testing.T, s *api.Status, args ...string) (string, error) {
	t.Helper()
	cmd := newStatusCmd(func(context.Context) (*api.Status, error) { return s, nil })
	var out strings.Builder
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetArgs(args)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestStatusExitCode(t *testing.T) {
	tunnels := func(states ...api.State) *api.Status {
		s := &api.Status{Schema: api.SchemaVersion}
		for _, state := range states {
			s.Tunnels = append(s.Tunnels, api.Tunnel{Name: "t", State: state})
		}
		return s
	}
	for _, test := range []struct {
		what   string
		status *api.Status
		want   int
	}{
		{"none", tunnels(), 0},
		{"all up", tunnels(api.Up, api.Up), 0},
		{"one down", tunnels(api.Up, api.Down), 1},
		{"one needs somebody", tunnels(api.NeedsLogin, api.Up), 1},
		{"one reconnecting", tunnels(api.Reconnecting), 1},
	} {
		for _, args := range [][]string{nil, {"--json"}} {
			out, err := runStatus(t, test.status, args...)
			got := 0
			if err != nil {
				got = exitCode(err)
				if err.Error() != "" {
					t.Errorf("%s %q: more is told than the table: %v", test.what, args, err)
				}
			}
			if got != test.want {
				t.Errorf("%s %q: exit code %d, want %d", test.what, args, got, test.want)
			}
			if out == "" {
				t.Errorf("%s %q: nothing is printed", test.what, args)
			}
		}
	}
}

func TestStatusJSON(t *testing.T) {
	out, err := runStatus(t, &api.Status{Schema: api.SchemaVersion, PID: 4711}, "--json")
	if err != nil {
		t.Fatal(err)
	}
	var s map[string]any
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		t.Fatal(err)
	}
	if s["schema"] != 1.0 || s["pid"] != 4711.0 || s["tunnels"] == nil {
		t.Errorf("got %s", out)
	}
	if !strings.Contains(out, "\n  \"pid\": 4711,\n") {
		t.Errorf("it is not indented: %s", out)
	}
}

func TestStatusTakesNoArguments(t *testing.T) {
	if _, err := runStatus(t, nil, "prod"); exitCode(err) != 2 {
		t.Errorf("got %v", err)
	}
}

func TestTopNeedsATerminal(t *testing.T) {
	cmd := newTopCmd()
	cmd.SetIn(strings.NewReader(""))
	cmd.SetOut(&strings.Builder{})
	cmd.SetArgs(nil)
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	err := cmd.ExecuteContext(t.Context())
	if exitCode(err) != 2 || !strings.Contains(err.Error(), "terminal") {
		t.Errorf("got %v", err)
	}
}
