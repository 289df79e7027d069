package prompt

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func environment(vars ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value, true
			}
		}
		return "", false
	}
}

// TestAskpassRules is the table of what ssh does.
func TestAskpassRules(t *testing.T) {
	for _, test := range []struct {
		env             string
		allowed, wanted bool
	}{
		{"", false, false},
		{"DISPLAY=:0", true, false},
		{"WAYLAND_DISPLAY=wayland-0", true, false},
		{"DISPLAY=", false, false},
		{"SSH_ASKPASS=/x", false, false},
		{"SSH_ASKPASS_REQUIRE=force", true, true},
		{"SSH_ASKPASS_REQUIRE=FORCE", true, true},
		{"SSH_ASKPASS_REQUIRE=prefer", false, false},
		{"SSH_ASKPASS_REQUIRE=prefer DISPLAY=:0", true, true},
		{"SSH_ASKPASS_REQUIRE=never DISPLAY=:0", false, false},
		{"SSH_ASKPASS_REQUIRE=other DISPLAY=:0", true, false},
		{"SSH_ASKPASS_REQUIRE=other", false, false},
	} {
		allowed, wanted := askpassRules(environment(strings.Fields(test.env)...))
		if allowed != test.allowed || wanted != test.wanted {
			t.Errorf("%q: allowed %v, wanted %v; want %v, %v", test.env, allowed, wanted, test.allowed, test.wanted)
		}
	}
}

// TestAskpassProgram looks which program it is.
func TestAskpassProgram(t *testing.T) {
	for env, want := range map[string]string{
		"":                         defaultAskpass,
		"SSH_ASKPASS=/opt/askpass": "/opt/askpass",
		"SSH_ASKPASS=":             "", // as ssh, which then has none
	} {
		if got := newAskpass(environment(env)).program; got != want {
			t.Errorf("%q: got %q, want %q", env, got, want)
		}
	}
}

// TestAskpassAnswers looks what is made of a program's output and end.
func TestAskpassAnswers(t *testing.T) {
	for _, test := range []struct{ name, script, answer string }{
		{"one line", `echo "  two words "`, "  two words "},
		{"no line's end", `printf secret`, "secret"},
		{"more lines", `printf 'first\r\nsecond\n'`, "first"},
		{"nothing", `:`, ""},
		{"the prompt", `echo "$#$1"`, "1it's $HOME?"},
		{"no hint", `echo "${SSH_ASKPASS_PROMPT-none}"`, "none"},
		{"too much", `head -c 2000 /dev/zero | tr '\0' x; trap "" PIPE; exit 0`, strings.Repeat("x", 1023)},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "-"), func(t *testing.T) {
			a := askpass{writeScript(t, test.script)}
			for _, ask := range []func(context.Context, string) (string, error){a.Secret, a.Ask} {
				if got, err := ask(t.Context(), "it's $HOME?"); got != test.answer || err != nil {
					t.Errorf("got %q, %v; want %q", got, err, test.answer)
				}
			}
		})
	}
	a := askpass{writeScript(t, `echo secret; exit 1`)}
	if got, err := a.Secret(t.Context(), "?"); got != "" || !errors.Is(err, errDismissed) {
		t.Errorf("got %q, %v; want a refusal", got, err)
	}
	for _, program := range []string{"", "/no/such/program"} {
		if got, err := (askpass{program}).Secret(t.Context(), "?"); got != "" || err == nil {
			t.Errorf("%q: got %q, %v; want an error", program, got, err)
		}
	}
}

// TestAskpassStops looks that the end of the context takes the dialog away,
// also where a child of the program's lives on.
func TestAskpassStops(t *testing.T) {
	dir := t.TempDir()
	started, held := filepath.Join(dir, "started"), filepath.Join(dir, "held")
	if out, err := exec.Command("mkfifo", started, held).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	a := askpass{writeScript(t, `{ : >"`+started+`"; cat "`+held+`"; } & wait`)}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		defer cancel()
		os.ReadFile(started)
	}()
	t.Cleanup(func() { os.WriteFile(held, nil, 0) }) // lets cat go
	if got, err := a.Secret(ctx, "?"); got != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("got %q, %v", got, err)
	}
}

func writeScript(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "askpass")
	if err := os.WriteFile(name, []byte("#!/bin/sh\n"+text+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	return name
}
