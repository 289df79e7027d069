package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

const (
	maxHops        = 16
	defaultConnect = 30 * time.Second
)

// connect makes the way to the host, hop by hop, and keeps its last link alive.
func (t *Tunnel) connect(ctx context.Context) (*link, error) {
	hosts, err := t.route(t.host, 0)
	if err != nil {
		return nil, err
	}
	var last *link
	for _, h := range hosts {
		l, err := t.connectHop(ctx, h, last)
		if err != nil {
			if last != nil {
				last.fail(net.ErrClosed)
				last.wait()
			}
			return nil, err
		}
		last = l
	}
	go last.startSession()
	interval, count := t.host.ServerAliveInterval, t.host.ServerAliveCountMax
	if interval < 0 {
		interval = defaultInterval
	}
	if count <= 0 {
		count = defaultCount
	}
	if interval > 0 {
		last.keepAlive(interval, count)
	}
	return last, nil
}

// route lists the hosts to pass on the way to h, and h. The hops of one ProxyJump
// are reached one from the other, so only the first one's own ProxyJump counts.
func (t *Tunnel) route(h *sshconf.Host, depth int) ([]*sshconf.Host, error) {
	if len(h.ProxyJump) == 0 {
		if h.ProxyCommand != "" {
			return nil, &ProxyCommandError{Host: display(h)}
		}
		return []*sshconf.Host{h}, nil
	}
	fail := func(err error) ([]*sshconf.Host, error) {
		return nil, &ConnectError{Host: display(h), Addr: address(h), Err: err}
	}
	if depth+len(h.ProxyJump) > maxHops {
		return fail(fmt.Errorf("more than %d hops of ProxyJump, or a circle", maxHops))
	}
	if t.opts.Jump == nil {
		return fail(errors.New("ProxyJump: nothing resolves its hops"))
	}
	var hosts []*sshconf.Host
	for i, name := range h.ProxyJump {
		hop, err := t.opts.Jump(name)
		if err != nil {
			return fail(fmt.Errorf("ProxyJump %q: %w", name, err))
		}
		way := []*sshconf.Host{hop}
		if i == 0 {
			if way, err = t.route(hop, depth+len(h.ProxyJump)); err != nil {
				return nil, err
			}
		}
		hosts = append(hosts, way...)
	}
	return append(hosts, h), nil
}

// connectHop makes the connection to h: over via, or over TCP if via is nil.
func (t *Tunnel) connectHop(ctx context.Context, h *sshconf.Host, via *link) (*link, error) {
	lim := newLimit(ctx, h.ConnectTimeout)
	defer lim.stop()
	raw, err := dialHop(lim.ctx, h, via)
	if err != nil {
		if lim.ctx.Err() != nil && ctx.Err() == nil {
			err = context.Cause(lim.ctx)
		}
		return nil, dialError(h, address(h), err)
	}
	w := newWire(raw)
	free := context.AfterFunc(lim.ctx, func() { raw.Close() })
	conn, chans, reqs, err := t.handshake(lim, h, w)
	if !free() { // the limit or the caller ended it
		err = &ConnectError{Host: display(h), Addr: raw.RemoteAddr().String(), Err: context.Cause(lim.ctx)}
	}
	if err != nil {
		raw.Close()
		return nil, err
	}
	t.log.Info("connected", "host", display(h), "addr", raw.RemoteAddr().String(), "server", string(conn.ServerVersion()))
	return start(display(h), t.log, conn, chans, reqs, w, via), nil
}

func dialHop(ctx context.Context, h *sshconf.Host, via *link) (net.Conn, error) {
	if via != nil {
		host, port, err := splitAddr("tcp", address(h))
		if err != nil {
			return nil, err
		}
		return via.dial(ctx, host, port)
	}
	network := map[string]string{"inet": "tcp4", "inet6": "tcp6"}[h.AddressFamily]
	if network == "" {
		network = "tcp"
	}
	return new(net.Dialer).DialContext(ctx, network, address(h))
}

// A limit ends the making of one connection when the other side takes too long.
// The time that a person takes does not count.
type limit struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	time   time.Duration
	timer  *time.Timer
}

func newLimit(parent context.Context, d time.Duration) *limit {
	if d <= 0 {
		d = defaultConnect
	}
	l := &limit{time: d}
	l.ctx, l.cancel = context.WithCancelCause(parent)
	l.timer = time.AfterFunc(d, func() { l.cancel(timeoutError(d)) })
	return l
}

// pause stops the clock until the returned function is called, which sets it back.
func (l *limit) pause() (resume func()) {
	l.timer.Stop()
	return func() { l.timer.Reset(l.time) }
}

func (l *limit) stop() {
	l.timer.Stop()
	l.cancel(nil)
}

// A timeoutError says after how long an answer was no longer waited for.
type timeoutError time.Duration

func (e timeoutError) Error() string { return fmt.Sprintf("no answer within %v", time.Duration(e)) }
