package tunnel

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

const (
	commandTime   = 30 * time.Second
	commandOutput = 16 << 20 // bytes
	commandStderr = 4 << 10
)

// command runs KnownHostsCommand as ssh does, without a shell, and returns the
// lines that it prints. For key it is nil while there is none to look up. As in ssh,
// a command that is not there or has no full path has nothing to say, and one
// that fails ends the connection.
func (c *hostCheck) command(invocation, name string, key ssh.PublicKey) (knownHosts, error) {
	log := c.ask.tunnel.log
	argv, err := sshconf.SplitWords(c.host.KnownHostsCommand)
	if err == nil && len(argv) == 0 {
		err = errors.New("no command")
	}
	if err != nil {
		return nil, fmt.Errorf("KnownHostsCommand: %w", err)
	}
	tokens := map[byte]string{'I': invocation, 'H': name, 't': "NONE", 'f': "NONE", 'K': "NONE"}
	if key != nil {
		tokens['t'], tokens['f'], tokens['K'] = key.Type(), fingerprint(key), base64.StdEncoding.EncodeToString(key.Marshal())
	}
	for i := range argv[1:] {
		if argv[i+1], err = c.host.Expand(argv[i+1], tokens); err != nil {
			return nil, fmt.Errorf("KnownHostsCommand: %w", err)
		}
	}
	if !filepath.IsAbs(argv[0]) {
		log.Warn("KnownHostsCommand not run: it has no full path", "command", argv[0])
		return nil, nil
	}
	if _, err := os.Stat(argv[0]); err != nil {
		log.Warn("KnownHostsCommand not run", "err", err)
		return nil, nil
	}
	out, err := runCommand(c.ask.lim.ctx, argv)
	if err != nil {
		return nil, fmt.Errorf("KnownHostsCommand %s %s: %w", argv[0], invocation, err)
	}
	return loggedKnownHosts(log, out, "KnownHostsCommand-"+invocation), nil
}

// runCommand returns what a program prints. An error has its exit and what it said.
func runCommand(ctx context.Context, argv []string) ([]byte, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, commandTime, timeoutError(commandTime))
	defer cancel()
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	stdout, stderr := &bounded{max: commandOutput}, &bounded{max: commandStderr, drop: true}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	cmd.WaitDelay = time.Second // for what it leaves behind
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = context.Cause(ctx)
	case errors.Is(err, errTooLong):
		err = fmt.Errorf("it prints more than %d bytes", commandOutput)
	}
	if said := strings.TrimSpace(clean(stderr.buf.String())); err != nil && said != "" {
		err = fmt.Errorf("%w: %s", err, said)
	}
	return stdout.buf.Bytes(), err
}

var errTooLong = errors.New("too long")

// bounded keeps what is written up to a length, and fails or drops what is more.
type bounded struct {
	buf  bytes.Buffer // not embedded: its ReadFrom knows no bounds
	max  int
	drop bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.max - b.buf.Len()
	if len(p) <= room {
		return b.buf.Write(p)
	}
	b.buf.Write(p[:room])
	if !b.drop {
		return room, errTooLong
	}
	return len(p), nil
}
