package tunnel

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/crypto/ssh/agent"
)

// A noting agent notes what is added.
type notingAgent struct {
	agent.Agent
	mu    sync.Mutex
	added []agent.AddedKey
}

func (a *notingAgent) Add(key agent.AddedKey) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.added = append(a.added, key)
	key.ConfirmBeforeUse = false // the library's agent cannot
	return a.Agent.Add(key)
}

func (a *notingAgent) taken() []agent.AddedKey {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.added)
}

func TestAddKeysToAgent(t *testing.T) {
	wrong := keygen(t, t.TempDir(), "wrong", "ed25519")
	open := keygen(t, t.TempDir(), "open", "ed25519")
	locked := keygen(t, t.TempDir(), "locked", "ed25519", "-N", "secret", "-a", "1")
	question := "ask Add key " + open + " (open) to agent? "
	for _, tt := range []struct {
		name, how string
		life      time.Duration
		file      string
		answers   []string
		asked     string // the last question
		comment   string // "": not added
	}{
		{"no", "no", 0, open, nil, "", ""},
		{"yes", "yes", 0, open, nil, "", "open"},
		{"locked", "yes", 0, locked, []string{"secret"}, "secret Enter passphrase for key '" + locked + "': ", "locked"},
		{"confirm", "confirm", 0, open, nil, "", "open"},
		{"lifetime", "yes", time.Hour, open, nil, "", "open"},
		{"ask, yes", "ask", 0, open, []string{"YES"}, question, "open"},
		{"ask, return", "ask", 0, open, []string{""}, question, "open"},
		{"ask, no", "ask", 0, open, []string{"no"}, question, ""},
		{"ask, no answer", "ask", 0, open, nil, question, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			a := &notingAgent{Agent: agent.NewKeyring()}
			serveAgent(t, a)
			pub, _ := loadPublic(tt.file)
			s := newServer(t, takes(pub))
			h := s.host()
			h.IdentityFiles, h.AddKeysToAgent, h.AddKeysLifetime = []string{wrong, tt.file}, tt.how, tt.life
			p := &script{answers: tt.answers}
			tun := newTunnel(t, h, Options{Prompter: p})
			for range 2 { // a reconnect adds nothing, and asks nothing
				if err := tun.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				s.killAll()
				<-tun.link.done
				if tt.name == "ask, no answer" {
					break // which is asked again
				}
			}
			want := 0
			if tt.asked != "" {
				want = 1
			}
			if len(p.asked) != want || want == 1 && p.asked[0] != tt.asked {
				t.Errorf("asked %q, want %q", p.asked, tt.asked)
			}
			added := a.taken()
			switch {
			case tt.comment == "" && len(added) == 0:
			case len(added) != 1 || added[0].Comment != tt.comment ||
				added[0].ConfirmBeforeUse != (tt.how == "confirm") || added[0].LifetimeSecs != uint32(tt.life.Seconds()):
				t.Errorf("added %d keys, want one with the comment %q", len(added), tt.comment)
			}
		})
	}
}

// What ssh adds to an agent, we add.
func TestAddKeysToAgentAsSSH(t *testing.T) {
	dir := t.TempDir()
	ca := keygen(t, dir, "ca", "ed25519")
	keygen(t, dir, "plain", "ed25519")
	keygen(t, dir, "pem", "ecdsa", "-m", "PEM")
	nopub := keygen(t, dir, "nopub", "ecdsa", "-m", "PEM")
	os.Remove(nopub + ".pub")
	keygen(t, dir, "pkcs8", "rsa", "-m", "PKCS8")
	keygen(t, dir, "empty", "ed25519", "-C", "")
	certify(t, ca, keygen(t, dir, "cert", "ed25519"))
	for _, name := range []string{"plain", "pem", "nopub", "pkcs8", "empty", "cert"} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(dir, name)
			f := readKeyFile(path)
			pub, _ := loadPublic(path + "-cert")
			if pub == nil {
				pub = f.signer.PublicKey()
			}
			s := newServer(t, takes(pub))
			host, port, _ := strings.Cut(s.addr, ":")

			startSSHAgent(t)
			out, _ := exec.Command(program(t, "ssh"), "-F", "none", "-p", port, "-l", "anna", "-o", "BatchMode=yes", "-o", "IdentityFile="+path,
				"-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-o", "AddKeysToAgent=yes",
				"-W", "refused:1", host).CombinedOutput()
			want := agentList(t)
			if want == "" {
				t.Fatalf("ssh added nothing: %s", out)
			}
			startSSHAgent(t)
			h := s.host()
			h.IdentityFiles, h.AddKeysToAgent = []string{path}, "yes"
			if err := newTunnel(t, h, Options{}).Connect(t.Context()); err != nil {
				t.Fatal(err)
			}
			if got := agentList(t); got != want {
				t.Errorf("got  %s\nwant %s", got, want)
			}
		})
	}
}

func agentList(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(program(t, "ssh-add"), "-L").Output()
	if err != nil {
		return ""
	}
	return string(out)
}
