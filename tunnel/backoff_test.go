package tunnel

import (
	"errors"
	"testing"
	"time"
)

// Many clients at once must not be as many refused logins.
func TestRefusedLoginIsNotRepeated(t *testing.T) {
	var seen []string
	file, _ := newKey(t, "")
	s := newServer(t, offers(newSigner(t).PublicKey(), &seen))
	h := s.host()
	h.IdentityFiles = []string{file}
	tun := newTunnel(t, h, Options{})
	for range 5 {
		_, err := tun.DialContext(t.Context(), "tcp", "127.0.0.1:21")
		wantAs[*AuthError](t, err)
	}
	if len(seen) != 1 {
		t.Errorf("%d keys were offered, want 1", len(seen))
	}
	wantAs[*AuthError](t, tun.Connect(t.Context()))
	if len(seen) != 2 {
		t.Errorf("%d keys were offered, want 2: Connect has to try", len(seen))
	}
}

func TestBackoff(t *testing.T) {
	var b backoff
	for _, want := range []time.Duration{1, 2, 4, 8, 16, 32, 60, 60} {
		before := time.Now()
		b.after(errors.New("refused"))
		if low := before.Add(want * time.Second / 2); b.pause != want*time.Second || b.until.Before(low) {
			t.Errorf("pause %v until %v, want %ds", b.pause, b.until, want)
		}
	}
	if b.after(nil); !b.until.IsZero() {
		t.Error("a success leaves a pause")
	}
	if b.after(&AuthError{Err: errors.New("no")}); b.pause != maxPause {
		t.Errorf("pause %v after a refused login", b.pause)
	}
}
