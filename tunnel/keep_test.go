package tunnel

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

var errNoRoute = errors.New("no route to host")

// A kept is a tunnel to a server in memory, for virtual time, that Keep keeps up.
type kept struct {
	*Tunnel
	t      *testing.T
	server *server
	wakeup func()             // as the network does
	cancel context.CancelFunc // ends Keep
	ended  chan error         // what Keep returned

	mu       sync.Mutex
	down     error // what connecting fails with
	hang     bool  // connecting takes for ever
	attempts []time.Time
	ends     []memConn // the server's
	shift    time.Duration
	told     []State // since phases was called
	first    State   // of all
	telling  bool
}

// prepare makes the tunnel; Keep is still to be started.
func prepare(t *testing.T, opts Options, edit ...func(*kept)) *kept {
	k := &kept{t: t, server: unstarted(t), ended: make(chan error, 1)}
	h := hostAt(t, "127.0.0.1:22")
	h.UserKnownHostsFiles = []string{k.server.writeKnown("127.0.0.1:22")}
	opts.Changed = k.changed
	k.Tunnel = newTunnel(t, h, opts)
	k.net.connect = k.connect
	k.senses.wall = func() time.Time {
		k.mu.Lock()
		defer k.mu.Unlock()
		return time.Now().Add(k.shift)
	}
	woken := make(chan struct{}, 1000)
	k.wakeup = func() { woken <- struct{}{} }
	k.senses.network = func(ctx context.Context, wake func()) error {
		for {
			select {
			case <-ctx.Done():
				return nil
			case <-woken:
				wake()
			}
		}
	}
	for _, f := range edit {
		f(k)
	}
	return k
}

func (k *kept) keep() {
	var ctx context.Context
	ctx, k.cancel = context.WithCancel(context.Background())
	go func() { k.ended <- k.Keep(ctx) }()
	k.t.Cleanup(k.cancel)
	synctest.Wait()
}

func keepUp(t *testing.T, opts Options, edit ...func(*kept)) *kept {
	k := prepare(t, opts, edit...)
	k.keep()
	return k
}

func (k *kept) connect(ctx context.Context, _ *sshconf.Host, _ netip.Addr) (net.Conn, error) {
	k.mu.Lock()
	k.attempts = append(k.attempts, time.Now())
	hang, err := k.hang, k.down
	k.mu.Unlock()
	if hang {
		<-ctx.Done()
		return nil, ctx.Err()
	} else if err != nil {
		return nil, err
	}
	up, down := newPipe(), newPipe()
	there := memConn{up, down}
	k.mu.Lock()
	k.ends = append(k.ends, there)
	k.mu.Unlock()
	go k.server.serve(there)
	return memConn{down, up}, nil
}

// changed is the Changed. It asks back, and takes its time.
func (k *kept) changed(s State) {
	k.State()
	k.mu.Lock()
	if k.telling {
		k.t.Error("Changed is called while it is")
	}
	k.telling = true
	k.mu.Unlock()
	<-time.After(time.Millisecond)
	k.mu.Lock()
	k.telling = false
	if k.first.Phase == "" {
		k.first = s
	}
	k.told = append(k.told, s)
	k.mu.Unlock()
}

// set changes what holds from now on.
func (k *kept) set(f func()) {
	k.mu.Lock()
	defer k.mu.Unlock()
	f()
}

// phases are those told since the last call, after all was told.
func (k *kept) phases() (list []Phase) {
	<-time.After(10 * time.Millisecond)
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, s := range k.told {
		list = append(list, s.Phase)
	}
	k.told = nil
	return list
}

func (k *kept) wantPhases(want ...Phase) {
	k.t.Helper()
	if got := k.phases(); !slices.Equal(got, want) {
		k.t.Errorf("told of %q, want %q", got, want)
	}
}

func (k *kept) want(phase Phase) State {
	k.t.Helper()
	synctest.Wait()
	s := k.State()
	if s.Phase != phase {
		k.t.Fatalf("%s (%v), want %s", s.Phase, s.Err, phase)
	}
	return s
}

// tries counts the attempts since the last call.
func (k *kept) tries() int {
	synctest.Wait()
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.attempts)
	k.attempts = nil
	return n
}

func (k *kept) wantTries(want int) {
	k.t.Helper()
	if got := k.tries(); got != want {
		k.t.Errorf("%d attempts, want %d", got, want)
	}
}

// end has the server's end of the last connection gone.
func (k *kept) end() {
	k.mu.Lock()
	c := k.ends[len(k.ends)-1]
	k.mu.Unlock()
	c.Close()
	synctest.Wait()
}

// freeze has nothing more come through the last connection.
func (k *kept) freeze() {
	k.mu.Lock()
	defer k.mu.Unlock()
	c := k.ends[len(k.ends)-1]
	c.in.set(func() { c.in.frozen = true })
	c.out.set(func() { c.out.frozen = true })
}

// refuse has the server refuse logins while no is true.
func refuse(k *kept) (no *bool) {
	no = new(bool)
	k.server.cfg.PublicKeyCallback = func(ssh.ConnMetadata, ssh.PublicKey) (*ssh.Permissions, error) { return nil, errDenied }
	k.server.cfg.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
		k.mu.Lock()
		defer k.mu.Unlock()
		if *no {
			return nil, errDenied
		}
		return nil, nil
	}
	return no
}

func TestKeepConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{})
		if s := k.want(Up); s.Made != 1 || s.Live != 1 || s.Err != nil || !s.Retry.IsZero() {
			t.Errorf("up: %+v", s)
		}
		k.wantPhases(Waiting, Connecting, Up)
		<-time.After(time.Hour)
		k.end()
		s := k.want(Waiting)
		wantAs[*LostError](t, s.Err)
		if in := time.Until(s.Retry); s.Made != 1 || s.Live != 0 || !s.Since.Equal(time.Now()) || in <= 0 || in > minPause {
			t.Errorf("lost: %+v, again in %v", s, in)
		}
		<-time.After(minPause)
		if s := k.want(Up); s.Made != 2 || s.Live != 1 || s.Err != nil {
			t.Errorf("up again: %+v", s)
		}
		k.wantPhases(Waiting, Connecting, Up)
		mustDial(t, k.Tunnel, "echo:7")
		k.wantTries(2)
	})
}

// The pauses grow from 1 s to 60 s; up to half of each is left out.
func TestKeepBacksOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		k := keepUp(t, Options{}, func(k *kept) { k.down = errNoRoute })
		wantAs[*ConnectError](t, k.want(Waiting).Err)
		k.phases()
		if first := k.first; first.Phase != Waiting || first.Err != nil || !first.Retry.Equal(began) {
			t.Errorf("at first %+v, want it to be tried at once", first)
		}
		<-time.After(10 * time.Minute)
		k.mu.Lock()
		attempts := k.attempts
		k.mu.Unlock()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60, 60, 60} {
			want *= time.Second
			if got := attempts[i+1].Sub(attempts[i]); got < max(want/2, minPause) || got > want {
				t.Errorf("pause %d is %v, want %v, or a part down to the half of it", i+1, got, want)
			}
		}
		k.phases()
		retry := k.want(Waiting).Retry
		k.tries()
		<-time.After(time.Until(retry) - 1)
		k.wantTries(0)
		k.set(func() { k.down = nil })
		<-time.After(1)
		synctest.Wait()
		k.wantTries(1)
		k.want(Up)
		k.wantPhases(Connecting, Up)
	})
}

// Whoever is thrown out again and again knocks less and less often. A connection that
// lived for long begins anew.
func TestKeepAfterShortConnections(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{})
		for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
			k.end()
			want *= time.Second
			if got := time.Until(k.want(Waiting).Retry); got < want/2 || got > want {
				t.Errorf("pause %v, want %v or down to the half of it", got, want)
			}
			<-time.After(want)
			k.want(Up)
		}
		<-time.After(maxPause)
		k.end()
		if got := time.Until(k.want(Waiting).Retry); got > minPause {
			t.Errorf("pause %v after a connection that lived", got)
		}
	})
}

func TestKeepTakesAConnectionOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, Options{})
		k.want(Idle)
		if err := k.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.wantPhases(Connecting, Up)
		k.keep()
		k.wantPhases()
		<-time.After(time.Hour)
		k.wantTries(1)
		if err := k.Keep(t.Context()); err == nil {
			t.Error("a second Keep is none")
		}
		k.end()
		<-time.After(minPause)
		k.want(Up)
		k.wantTries(1)
		k.wantPhases(Waiting, Connecting, Up)
	})
}

func TestWithoutKeepNobodyConnectsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, Options{Patience: time.Minute})
		mustDial(t, k.Tunnel, "echo:7")
		k.end()
		wantAs[*LostError](t, k.want(Idle).Err)
		<-time.After(time.Hour)
		k.wantTries(1)
		mustDial(t, k.Tunnel, "echo:7")
		k.set(func() { k.down = errNoRoute })
		k.end()
		_, err := k.DialContext(t.Context(), "tcp", "echo:7")
		wantAs[*ConnectError](t, err)
		wantAs[*ConnectError](t, k.want(Idle).Err)
		k.wantPhases(Connecting, Up, Idle, Connecting, Up, Idle, Connecting, Idle)
	})
}

func TestKeepRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var no *bool
		k := keepUp(t, Options{Patience: time.Hour}, func(k *kept) { no = refuse(k); *no = true })
		for range 10 {
			<-time.After(time.Hour)
			k.wakeup()
			_, err := k.DialContext(t.Context(), "tcp", "echo:7")
			wantAs[*AuthError](t, err)
			_, err = k.Listen(t.Context(), "tcp", "127.0.0.1:0")
			wantAs[*AuthError](t, err)
		}
		k.wantTries(1)
		s := k.want(Resting)
		wantAs[*AuthError](t, s.Err)
		if !s.Retry.IsZero() {
			t.Errorf("rests until %v", s.Retry)
		}
		k.wantPhases(Waiting, Connecting, Resting)

		k.set(func() { k.down = errNoRoute }) // a person tries, and fails for another reason
		wantAs[*ConnectError](t, k.Connect(t.Context()))
		<-time.After(time.Hour)
		k.wantTries(1)
		wantAs[*AuthError](t, k.want(Resting).Err)

		k.set(func() { k.down, *no = nil, false })
		if err := k.Connect(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.wantPhases(Connecting, Resting, Connecting, Up)
		<-time.After(time.Hour)
		k.end()
		<-time.After(minPause)
		k.want(Up)
	})
}

func TestKeepRestsFromTheBeginning(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, Options{}, func(k *kept) { *refuse(k) = true })
		wantAs[*AuthError](t, k.Connect(t.Context()))
		k.keep()
		<-time.After(time.Hour)
		wantAs[*AuthError](t, k.want(Resting).Err)
		k.wantTries(1)
	})
}

// What trying again does not mend, and what it may.
func TestRefused(t *testing.T) {
	for _, tt := range []struct {
		err  error
		want bool
	}{
		{&AuthError{Err: errDenied}, true},
		{&HostKeyError{}, true},
		{&ConnectError{Err: errNoRoute}, false},
		{&ConnectError{Err: &GreetingError{Said: "Not allowed at this time"}}, false},
		{&ViaSSHError{Line: "anna@prod: Permission denied (publickey,password)."}, true},
		{&ViaSSHError{Line: "Host key verification failed."}, true},
		{&ViaSSHError{Line: "Received disconnect from 127.0.0.1 port 22:2: Too many authentication failures"}, true},
		{&ViaSSHError{Line: "ssh: connect to host prod port 22: Connection refused"}, false},
	} {
		if got := refused(tt.err); got != tt.want {
			t.Errorf("%v: %t, want %t", tt.err, got, tt.want)
		}
	}
}

// A question that nobody answers is asked once.
func TestKeepRestsWhenNobodyAnswers(t *testing.T) {
	for name, edit := range map[string]func(*kept){
		"password": func(k *kept) {
			k.server.cfg.NoClientAuth = false
			k.server.cfg.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) { return nil, nil }
		},
		"host key": func(k *kept) {
			k.host.StrictHostKeyChecking = "ask"
			k.host.UserKnownHostsFiles = []string{writeFile(k.t, "known_hosts", "")}
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				nobody := &script{}
				k := keepUp(t, Options{Prompter: nobody}, edit)
				<-time.After(time.Hour)
				if err := k.want(Resting).Err; !errors.Is(err, errNoAnswer) {
					t.Errorf("rests for %v", err)
				}
				k.wantTries(1)
				nobody.mu.Lock()
				nobody.answers = []string{"yes"}
				nobody.mu.Unlock()
				if err := k.Connect(t.Context()); err != nil {
					t.Fatal(err)
				}
				k.want(Up)
			})
		})
	}
}

// A login that was cut off once may be the network's fault.
func TestKeepAfterALoginWasCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := 1
		k := prepare(t, Options{Prompter: &script{answers: []string{"1", "2", "3", "4"}}})
		k.server.cfg.NoClientAuth = false
		k.server.cfg.PasswordCallback = func(ssh.ConnMetadata, []byte) (*ssh.Permissions, error) {
			k.mu.Lock()
			defer k.mu.Unlock()
			if times--; times >= 0 {
				k.ends[len(k.ends)-1].Close()
			}
			return nil, nil
		}
		k.keep()
		wantAs[*AuthError](t, k.want(Waiting).Err)
		<-time.After(maxPause)
		k.want(Up)
		k.set(func() { times = 2 })
		k.end()
		<-time.After(time.Hour)
		wantAs[*AuthError](t, k.want(Resting).Err)
		k.wantTries(4)
	})
}

// A burst of events is one, and is followed by pauses that grow from the beginning.
func TestKeepWakes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.down = errNoRoute })
		<-time.After(10 * time.Minute)
		k.tries()
		for time.Until(k.want(Waiting).Retry) < 20*time.Second {
			<-time.After(time.Second)
		}
		<-time.After(minPause)
		k.tries()
		for range 100 {
			k.wakeup()
			<-time.After(time.Millisecond)
		}
		<-time.After(settle - 101*time.Millisecond)
		k.wantTries(0)
		<-time.After(time.Millisecond)
		k.wantTries(1)
		if got := time.Until(k.want(Waiting).Retry); got > minPause {
			t.Errorf("the next attempt is in %v", got)
		}
		<-time.After(minPause)
		k.wantTries(1)

		k.set(func() { k.down = nil })
		<-time.After(minPause)
		k.wakeup()
		<-time.After(settle)
		synctest.Wait()
		k.want(Up)
	})
}

// Events without an end are no hot loop.
func TestKeepIsNotHurried(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.down = errNoRoute })
		for range 6000 {
			k.wakeup()
			<-time.After(10 * time.Millisecond)
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		if n := len(k.attempts); n < 40 {
			t.Errorf("%d attempts in a minute of events", n)
		}
		for i := range k.attempts[1:] {
			if pause := k.attempts[i+1].Sub(k.attempts[i]); pause < minPause {
				t.Errorf("pause %v", pause)
			}
		}
	})
}

// An attempt that hangs on the way that was is given up for the new way.
func TestKeepWakesFromAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.hang = true })
		k.want(Connecting)
		<-time.After(3 * time.Second)
		k.set(func() { k.hang = false })
		k.wakeup()
		<-time.After(minPause)
		k.want(Up)
		k.wantPhases(Waiting, Connecting, Waiting, Connecting, Up)
	})
}

// patient has Keep fail until the next attempt is far away.
func (k *kept) patient() {
	k.t.Helper()
	k.set(func() { k.down = errNoRoute })
	<-time.After(10 * time.Minute)
	for time.Until(k.want(Waiting).Retry) < 20*time.Second {
		<-time.After(time.Second)
	}
	<-time.After(minPause)
}

// An event does not get lost when it ends an attempt: what failed before is forgotten.
func TestKeepForgetsAfterAnAttempt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{})
		k.set(func() { k.down = errNoRoute })
		k.end()
		k.patient()
		k.set(func() { k.hang = true })
		<-time.After(time.Until(k.State().Retry))
		k.want(Connecting)
		<-time.After(minPause)
		k.set(func() { k.hang = false })
		k.tries()
		k.wakeup()
		<-time.After(minPause)
		k.wantTries(1)
		if got := time.Until(k.want(Waiting).Retry); got > minPause {
			t.Errorf("the next attempt is in %v", got)
		}
	})
}

// Nor does it when somebody connects before its burst is over.
func TestKeepForgetsAfterSomebodyElses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.down = errNoRoute })
		k.patient()
		k.wakeup()
		<-time.After(settle / 2)
		k.set(func() { k.hang = true })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := k.Connect(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		k.set(func() { k.hang = false })
		k.tries()
		<-time.After(minPause)
		k.wantTries(1)
	})
}

// Neither a person's attempt nor one that has reached the server is given up.
func TestKeepLeavesAttemptsAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := prepare(t, Options{})
		held := make(chan struct{})
		k.server.cfg.NoClientAuthCallback = func(ssh.ConnMetadata) (*ssh.Permissions, error) {
			<-held
			return nil, nil
		}
		k.keep()
		k.wakeup()
		<-time.After(2 * time.Second)
		k.wantTries(1)
		close(held)
		synctest.Wait()
		k.want(Up)

		k.set(func() { k.hang = true })
		k.end()
		<-time.After(minPause)
		k.tries()
		failed := make(chan error)
		go func() { failed <- k.Connect(t.Context()) }()
		synctest.Wait()
		k.wakeup()
		<-time.After(10 * time.Second)
		k.wantTries(0)
		wantAs[*ConnectError](t, <-failed)
	})
}

// A connection that answers is left alone; a dead one is noticed at once.
func TestKeepChecks(t *testing.T) {
	events := map[string]func(*kept){
		"network": func(k *kept) { k.wakeup() },
		"clock on": func(k *kept) {
			k.set(func() { k.shift += time.Hour })
			<-time.After(clockEvery)
		},
		"clock back": func(k *kept) {
			k.set(func() { k.shift -= time.Minute })
			<-time.After(clockEvery)
		},
	}
	for name, event := range events {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keepUp(t, Options{}, func(k *kept) { k.host.ServerAliveInterval = 600 * time.Second })
				c := mustDial(t, k.Tunnel, "echo:7")
				event(k)
				<-time.After(time.Minute)
				if _, err := c.Write([]byte("x")); err != nil {
					t.Fatal(err)
				}
				k.wantTries(1)
				k.freeze()
				<-time.After(time.Minute)
				k.want(Up) // nobody knows
				event(k)
				<-time.After(settle + checkPatience)
				synctest.Wait()
				if err := k.want(Waiting).Err; !errors.Is(err, errSilent) {
					t.Errorf("lost with %v", err)
				}
				<-time.After(minPause)
				k.want(Up)
			})
		})
	}
}

// A connection that an event has ended is made anew at once, however short those before were.
func TestKeepIsFastAfterACheck(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.host.ServerAliveInterval = 600 * time.Second })
		for range 10 {
			k.want(Up)
			k.end()
			<-time.After(maxPause)
		}
		k.end()
		<-time.After(time.Until(k.want(Waiting).Retry))
		k.want(Up)
		k.freeze()
		k.wakeup()
		<-time.After(settle + checkPatience)
		k.want(Waiting)
		<-time.After(minPause)
		k.want(Up)
	})
}

// A clock that goes a little wrong is no sign.
func TestKeepBearsASlowClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.host.ServerAliveInterval = 600 * time.Second })
		k.freeze()
		for range 10 {
			<-time.After(clockEvery)
			k.set(func() { k.shift += 4 * time.Second })
		}
		<-time.After(time.Minute)
		k.want(Up)
	})
}

// Who has switched keepalives off has a server that does not answer them.
func TestKeepDoesNotCheckWithoutKeepalives(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{}, func(k *kept) { k.host.ServerAliveInterval = 0 })
		k.freeze()
		k.wakeup()
		<-time.After(time.Hour)
		k.want(Up)
	})
}

func TestPatience(t *testing.T) {
	const patience = 10 * time.Second
	dial := func(k *kept) chan error {
		result := make(chan error, 1)
		go func() {
			c, err := k.DialContext(context.Background(), "tcp", "echo:7")
			if err == nil {
				c.Close()
			}
			result <- err
		}()
		return result
	}
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Patience: patience}, func(k *kept) { k.down = errNoRoute })
		<-time.After(time.Hour)
		for time.Until(k.want(Waiting).Retry) < 20*time.Second {
			<-time.After(time.Second)
		}
		k.tries()
		began := time.Now()
		err := <-dial(k)
		if !errors.Is(err, errNoRoute) || time.Since(began) != patience {
			t.Errorf("%v after %v", err, time.Since(began))
		}
		_, err = k.Listen(t.Context(), "tcp", "127.0.0.1:0")
		wantAs[*ConnectError](t, err)
		k.wantTries(0)
	})
	synctest.Test(t, func(t *testing.T) {
		k := keepUp(t, Options{Patience: patience}, func(k *kept) { k.down = errNoRoute })
		result := dial(k)
		<-time.After(minPause / 2)
		k.set(func() { k.down = nil })
		if err := <-result; err != nil {
			t.Error(err)
		}
		k.wantTries(2)
	})
	synctest.Test(t, func(t *testing.T) { // the first attempt has no result yet
		k := keepUp(t, Options{Patience: patience}, func(k *kept) { k.hang = true })
		if err := <-dial(k); !errors.Is(err, errNotYet) {
			t.Error(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := k.DialContext(ctx, "tcp", "echo:7"); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	})
	synctest.Test(t, func(t *testing.T) { // without patience only for what is under way
		k := keepUp(t, Options{}, func(k *kept) { k.hang = true })
		result := dial(k)
		<-time.After(29 * time.Second)
		if len(result) > 0 {
			t.Errorf("not waited for: %v", <-result)
		}
		wantAs[*ConnectError](t, <-result)
		k.set(func() { k.hang, k.down = false, errNoRoute })
		<-time.After(10 * time.Minute)
		k.tries()
		began := time.Now()
		wantAs[*ConnectError](t, <-dial(k))
		if time.Since(began) != 0 {
			t.Errorf("waited %v", time.Since(began))
		}
		k.wantTries(0)
	})
}

func TestKeepEnds(t *testing.T) {
	for name, edit := range map[string]func(*kept){
		"up":         func(k *kept) {},
		"waiting":    func(k *kept) { k.down = errNoRoute },
		"connecting": func(k *kept) { k.hang = true },
		"resting":    func(k *kept) { *refuse(k) = true },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				k := keepUp(t, Options{}, edit)
				k.want(Phase(name))
				k.cancel()
				if err := <-k.ended; err != nil {
					t.Error(err)
				}
				<-time.After(time.Hour)
				k.wantTries(1)
				if name != "up" {
					k.want(Idle)
					return
				}
				k.want(Up)
				mustDial(t, k.Tunnel, "echo:7")
			})
			synctest.Test(t, func(t *testing.T) {
				k := keepUp(t, Options{}, edit)
				k.Close()
				if err := <-k.ended; !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				if s := k.want(Idle); s.Live != 0 || !errors.Is(s.Err, net.ErrClosed) {
					t.Errorf("closed: %+v", s)
				}
				if err := k.Keep(t.Context()); !errors.Is(err, net.ErrClosed) {
					t.Error(err)
				}
				if got := k.phases(); got[len(got)-1] != Idle {
					t.Errorf("told of %q", got)
				}
			})
		})
	}
}
