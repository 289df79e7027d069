package tunnel

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/pasvport/pasvport/sshconf"
)

const (
	maxHops        = 16
	defaultConnect = 30 * time.Second
)

// connect makes the way to the host, hop by hop, and keeps its last link alive.
func (t *Tunnel) connect(ctx context.Context) (*link, error) {
	if len(t.opts.SSH) > 0 {
		return t.connectViaSSH(ctx)
	}
	if l := t.shared(ctx, t.host); l != nil {
		return l, nil
	}
	return t.connectOwn(ctx, nil)
}

// connectOwn makes a connection of our own. The first host is looked for at addrs, unless
// there are none.
func (t *Tunnel) connectOwn(ctx context.Context, addrs []netip.Addr) (*link, error) {
	hosts, err := Route(t.host, t.opts.Jump)
	if err != nil {
		return nil, err
	}
	last, hosts := t.nearest(ctx, hosts)
	if last != nil {
		addrs = nil
	}
	for _, h := range hosts {
		l, err := t.connectHop(ctx, h, last, addrs)
		if err != nil {
			if last != nil {
				last.fail(net.ErrClosed)
				last.wait()
			}
			return nil, err
		}
		last, addrs = l, nil
	}
	last.goes(last.startSession)
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

// Route lists the SSH servers on the way to h, with h as the last; jump resolves the
// hops of ProxyJump, and may be nil where there are none. The hops of one ProxyJump
// are reached one from the other, so only the first one's own ProxyJump or
// ProxyCommand counts. An error is a [ConnectError].
func Route(h *sshconf.Host, jump func(hop string) (*sshconf.Host, error)) ([]*sshconf.Host, error) {
	return route(h, jump, 0)
}

func route(h *sshconf.Host, jump func(string) (*sshconf.Host, error), depth int) ([]*sshconf.Host, error) {
	if len(h.ProxyJump) == 0 {
		return []*sshconf.Host{h}, nil
	}
	fail := func(err error) ([]*sshconf.Host, error) {
		return nil, &ConnectError{Host: display(h), Addr: address(h), Err: err}
	}
	if depth+len(h.ProxyJump) > maxHops {
		return fail(fmt.Errorf("more than %d hops of ProxyJump, or a circle", maxHops))
	}
	if jump == nil {
		return fail(errors.New("ProxyJump: nothing resolves its hops"))
	}
	var hosts []*sshconf.Host
	for i, name := range h.ProxyJump {
		hop, err := jump(name)
		if err != nil {
			return fail(fmt.Errorf("ProxyJump %q: %w", name, err))
		}
		way := []*sshconf.Host{hop}
		if i == 0 {
			if way, err = route(hop, jump, depth+len(h.ProxyJump)); err != nil {
				return nil, err
			}
		}
		hosts = append(hosts, way...)
	}
	return append(hosts, h), nil
}

// connectHop makes the connection to h: through via, or by its own means if via is nil,
// where addrs, if there are any, spare looking up its name.
func (t *Tunnel) connectHop(ctx context.Context, h *sshconf.Host, via *link, addrs []netip.Addr) (*link, error) {
	if err := checkAlgorithms(h); err != nil {
		return nil, &ConnectError{Host: display(h), Addr: address(h), Err: err}
	}
	raw, lim, err := t.reach(ctx, h, via, addrs)
	if err != nil {
		return nil, err
	}
	defer lim.stop()
	w := newWire(raw)
	free := context.AfterFunc(lim.ctx, func() { raw.Close() })
	conn, chans, reqs, err := t.handshake(lim, h, w)
	if !free() && err == nil { // the limit or the caller ended it at the last moment
		err = &ConnectError{Host: display(h), Addr: raw.RemoteAddr().String(), Err: context.Cause(lim.ctx)}
	}
	if err != nil {
		raw.Close()
		gone(raw)
		return nil, err
	}
	t.log.Info("connected", "host", display(h), "addr", raw.RemoteAddr().String(), "server", string(conn.ServerVersion()))
	return start(display(h), t.log, conn, chans, reqs, w, via), nil
}

// reach makes the connection under SSH, and has the clock run for what comes next.
func (t *Tunnel) reach(ctx context.Context, h *sshconf.Host, via *link, addrs []netip.Addr) (net.Conn, *limit, error) {
	for n := 1; ; n++ {
		lim := newLimit(ctx, t.patience(h, via))
		raw, err := t.dialHop(lim.ctx, h, via, &addrs)
		if err == nil {
			return raw, lim, nil
		}
		if lim.ctx.Err() != nil {
			err = context.Cause(lim.ctx)
		}
		if via != nil {
			err = fmt.Errorf("through %s: %w", via.host, err)
		}
		lim.stop()
		addr := address(h)
		if len(addrs) == 1 {
			addr = netip.AddrPortFrom(addrs[0], port(h)).String()
		}
		if len(addrs) == 0 || n >= h.ConnectionAttempts || ctx.Err() != nil {
			return nil, nil, dialError(h, addr, err)
		}
		t.log.Info("trying again", "host", display(h), "attempt", n+1, "of", h.ConnectionAttempts, "err", noEOF(bare(err)))
		select {
		case <-time.After(retryPause):
		case <-ctx.Done():
			return nil, nil, dialError(h, addr, ctx.Err())
		}
	}
}

// patience is how long the connection may take. A ProxyCommand may have a person to
// ask, and only it knows.
func (t *Tunnel) patience(h *sshconf.Host, via *link) time.Duration {
	if h.ConnectTimeout == 0 && via == nil && h.ProxyCommand != "" && t.opts.Prompter != nil {
		return proxyPrompt
	}
	return h.ConnectTimeout
}

// dialHop reaches h once. Over TCP it tries addrs, which it looks up if there are
// none yet; only these can be tried again.
func (t *Tunnel) dialHop(ctx context.Context, h *sshconf.Host, via *link, addrs *[]netip.Addr) (net.Conn, error) {
	switch {
	case via != nil:
		c, err := via.dial(ctx, h.HostName, uint32(port(h)))
		if err != nil {
			return nil, err
		}
		t.trace(h, "tcp", fmt.Sprintf("%s through %s", address(h), via.host))
		return c, nil
	case h.ProxyCommand != "":
		c, err := startProxy(t.log, h)
		if err != nil {
			return nil, err
		}
		t.trace(h, "proxy", h.ProxyCommand)
		return c, nil
	case *addrs == nil:
		found, err := t.net.resolve(ctx, families[h.AddressFamily], h.HostName)
		if err != nil {
			return nil, err
		}
		*addrs = found
		t.trace(h, "dns", strings.Trim(fmt.Sprint(found), "[]"))
	}
	c, err := t.net.dial(ctx, h, *addrs)
	if err != nil {
		return nil, err
	}
	t.trace(h, "tcp", c.RemoteAddr().String())
	return c, nil
}

// trace tells of a stage that was passed.
func (t *Tunnel) trace(h *sshconf.Host, name, detail string) {
	if name != "dns" {
		t.reached.Store(true)
	}
	if t.opts.Trace == nil {
		return
	}
	t.stages.Lock()
	defer t.stages.Unlock()
	t.opts.Trace(Stage{Host: display(h), Name: name, Detail: clean(detail)})
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
