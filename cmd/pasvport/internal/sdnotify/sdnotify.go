// Package sdnotify is what a service of systemd's and its manager tell each other:
// sd_notify(3), the watchdog and socket activation, sd_listen_fds(3). Whoever was
// not started by systemd finds nothing in the environment, and all of it does
// nothing.
package sdnotify

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// sending is how long a manager may take to have room for one message.
const sending = 5 * time.Second

// A Notifier tells the service manager how this service is. Its methods may be
// called from several goroutines; those of the zero Notifier do nothing.
type Notifier struct {
	socket   string        // NOTIFY_SOCKET; an @ in front stands for an abstract one
	watchdog time.Duration // within which the manager wants to hear; 0 for never
}

// FromEnvironment is the Notifier for whoever started this process. It takes what
// it reads out of the environment, so that no program that is started later speaks
// in this service's name: call it before any is. The Notifier is good even where
// there is an error, which is about the watchdog and leaves that alone off.
func FromEnvironment() (*Notifier, error) {
	// daemon.SdNotify would want the variable there each time.
	n := &Notifier{socket: os.Getenv("NOTIFY_SOCKET")}
	os.Unsetenv("NOTIFY_SOCKET")
	interval, err := daemon.SdWatchdogEnabled(true)
	if err != nil {
		return n, fmt.Errorf("reading WATCHDOG_USEC and WATCHDOG_PID, which systemd sets for WatchdogSec=: %w", err)
	}
	n.watchdog = interval
	return n, nil
}

// Ready tells that the service is up, or has reloaded, with a status as in Status.
func (n *Notifier) Ready(status string) error {
	return n.send(daemon.SdNotifyReady, "STATUS="+status)
}

// Status sets what "systemctl status" shows. It is one line.
func (n *Notifier) Status(status string) error { return n.send("STATUS=" + status) }

// Reloading tells that the configuration is being read again. Ready ends it, even
// if the configuration was refused.
func (n *Notifier) Reloading() error {
	return n.send(daemon.SdNotifyReloading, strings.TrimSpace(daemon.SdNotifyMonotonicUsec()))
}

// Stopping tells that the service is about to end.
func (n *Notifier) Stopping() error { return n.send(daemon.SdNotifyStopping) }

// Watchdog tells the manager that the service is alive, at once and then at half of
// the time that the manager waits, as often as healthy returns true. It returns when
// ctx is done, at once if there is no watchdog. healthy runs in Watchdog's goroutine
// and may block: whoever hangs is not alive, and the manager starts the service anew.
// A message that does not get through is as one that was not sent.
func (n *Notifier) Watchdog(ctx context.Context, healthy func() bool) {
	if n.socket == "" || n.watchdog <= 0 {
		return
	}
	tick := time.NewTicker(max(n.watchdog/2, time.Microsecond))
	defer tick.Stop()
	for {
		if healthy() {
			n.send(daemon.SdNotifyWatchdog)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// send sends lines in one message.
func (n *Notifier) send(lines ...string) error {
	if n.socket == "" {
		return nil
	}
	c, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: n.socket, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("telling the service manager %s: %w", lines[0], err)
	}
	defer c.Close()
	c.SetWriteDeadline(time.Now().Add(sending))
	if _, err := c.Write([]byte(strings.Join(lines, "\n") + "\n")); err != nil {
		return fmt.Errorf("telling the service manager %s: %w", lines[0], err)
	}
	return nil
}
