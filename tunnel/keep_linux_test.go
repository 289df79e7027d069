package tunnel

import (
	"context"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// keepWatched keeps a tunnel to s, and waits for its phases. end is to be called before s ends.
func keepWatched(t *testing.T, s *sshd) (tun *Tunnel, until func(Phase) State, end func()) {
	states := make(chan State, 1000)
	tun = newTunnel(t, s.host(), Options{Patience: time.Minute, Changed: func(s State) { states <- s }})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error)
	go func() { ended <- tun.Keep(ctx) }()
	until = func(phase Phase) State {
		t.Helper()
		for timeout := time.After(time.Minute); ; {
			select {
			case s := <-states:
				if s.Phase == phase {
					return s
				}
			case <-timeout:
				t.Fatalf("%+v, want it %s", tun.State(), phase)
			}
		}
	}
	return tun, until, func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		tun.Close()
	}
}

// sshd is killed and started again, as when its machine was.
func TestKeepWithSSHD(t *testing.T) {
	s := startSSHD(t)
	tun, until, end := keepWatched(t, s)
	defer end()
	until(Up)
	echo := echoServer(t)
	mustDial(t, tun, echo)

	s.killSessions()
	wantAs[*LostError](t, until(Waiting).Err)
	if got := until(Up); got.Made != 2 {
		t.Errorf("%d connections made", got.Made)
	}
	mustDial(t, tun, echo)

	s.kill()
	wantAs[*LostError](t, until(Waiting).Err)
	until(Connecting)
	wantAs[*ConnectError](t, until(Waiting).Err)
	dialled := make(chan error)
	go func() {
		c, err := tun.DialContext(t.Context(), "tcp", echo)
		if err == nil {
			c.Close()
		}
		dialled <- err
	}()
	if !s.start(program(t, "sshd"), nil) {
		t.Fatal("sshd does not start again")
	}
	if err := <-dialled; err != nil {
		t.Error(err)
	}
	if got := until(Up); got.Made != 3 || got.Live != 1 {
		t.Errorf("%d connections made, %d live", got.Made, got.Live)
	}
}

// Messages of netlink, as the kernel sends them.
func TestGained(t *testing.T) {
	message := func(kind byte) []byte { return append([]byte{16, 0, 0, 0, kind, 0}, make([]byte, 10)...) }
	for _, tt := range []struct {
		name     string
		messages []byte
		want     bool
	}{
		{"address", message(unix.RTM_NEWADDR), true},
		{"route", message(unix.RTM_NEWROUTE), true},
		{"less", append(message(unix.RTM_DELADDR), message(unix.RTM_DELROUTE)...), false},
		{"both", append(message(unix.RTM_DELROUTE), message(unix.RTM_NEWROUTE)...), true},
		{"half", message(unix.RTM_NEWROUTE)[:12], false},
		{"nothing", nil, false},
	} {
		if got := gained(tt.messages); got != tt.want {
			t.Errorf("%s: %t, want %t", tt.name, got, tt.want)
		}
	}
}
