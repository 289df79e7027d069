package tunnel

import (
	"errors"
	"math/rand/v2"
	"regexp"
	"time"
)

// A backoff keeps those who need the connection from trying again and again: a
// login that is refused stays refused, and servers lock out who insists.
type backoff struct {
	err   error // of the last attempt
	until time.Time
	pause time.Duration
	short time.Duration // the pause after the last connection that did not live for long
}

const (
	minPause = time.Second
	maxPause = time.Minute
)

// after notes how an attempt ended.
func (b *backoff) after(err error) {
	switch {
	case err == nil:
		*b = backoff{short: b.short}
		return
	case errors.As(err, new(*AuthError)), errors.As(err, new(*HostKeyError)):
		b.pause = maxPause
	default:
		b.pause = longer(b.pause)
	}
	b.err = err
	b.wait(b.pause)
}

// lost notes the end of a connection that lived for so long. One that ends again and
// again as soon as it is up is not made without a pause either.
func (b *backoff) lost(lived time.Duration) {
	if b.short = longer(b.short); lived >= maxPause {
		b.short = minPause
	}
	b.wait(b.short)
}

// wake forgets the failures: what they were due to may be over.
func (b *backoff) wake() { b.pause, b.until = 0, time.Now() }

func (b *backoff) wait(pause time.Duration) {
	b.until = time.Now().Add(pause/2 + rand.N(pause/2))
}

func longer(pause time.Duration) time.Duration {
	return min(max(2*pause, minPause), maxPause)
}

// refused tells whether an attempt that failed with err would only fail in the same
// way if nobody did anything about it.
func refused(err error) bool {
	if via, ok := errors.AsType[*ViaSSHError](err); ok {
		return sshRefused.MatchString(via.Line)
	}
	return errors.As(err, new(*AuthError)) || errors.As(err, new(*HostKeyError))
}

// sshRefused is what ssh ends with when a login or a host key is refused. It says so
// in words alone: its status is 255 whatever it fails for.
var sshRefused = regexp.MustCompile(`^(.*: Permission denied \(.*\)\.|Host key verification failed\.|.*: Too many authentication failures)$`)

// cut tells whether the connection ended in the middle of a login: the network may
// have done that, or a server that refuses without a word.
func cut(err error) bool {
	auth, ok := errors.AsType[*AuthError](err)
	return ok && auth.cut
}
