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
	"strconv"
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
	argv, err := splitCommand(c.host.KnownHostsCommand)
	if err != nil {
		return nil, fmt.Errorf("KnownHostsCommand: %w", err)
	}
	tokens := map[byte]string{'I': invocation, 'H': name, 't': "NONE", 'f': "NONE", 'K': "NONE"}
	if key != nil {
		tokens['t'], tokens['f'], tokens['K'] = key.Type(), fingerprint(key), base64.StdEncoding.EncodeToString(key.Marshal())
	}
	for i := range argv[1:] {
		if argv[i+1], err = expand(c.host, argv[i+1], tokens); err != nil {
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

// splitCommand splits a command into words as ssh does: at blanks, but for those
// in quotes of either kind or behind a backslash, which stays where it hides neither
// blank, quote nor backslash.
func splitCommand(s string) (words []string, err error) {
	var word strings.Builder
	var quote byte // 0 for none
	open := false  // a word has begun
	for i := 0; i < len(s); i++ {
		ch, next := s[i], byte(0)
		if i+1 < len(s) {
			next = s[i+1]
		}
		blank := quote == 0 && (ch == ' ' || ch == '\t')
		if blank && open {
			words = append(words, word.String())
			word.Reset()
		}
		if open = !blank; blank {
			continue
		}
		switch {
		case ch == '\\' && (next == '\'' || next == '"' || next == '\\' || quote == 0 && next == ' '):
			word.WriteByte(next)
			i++
		case quote == 0 && (ch == '"' || ch == '\''):
			quote = ch
		case quote != 0 && ch == quote:
			quote = 0
		default:
			word.WriteByte(ch)
		}
	}
	switch {
	case quote != 0:
		return nil, fmt.Errorf("no closing %c", quote)
	case open:
		words = append(words, word.String())
	}
	if len(words) == 0 {
		return nil, errors.New("no command")
	}
	return words, nil
}

// expand replaces the tokens in a word; more has those that are not in all keywords.
//
// TODO: sshconf's Host.Expand, which knows all tokens and ${VARIABLES}.
func expand(h *sshconf.Host, word string, more map[byte]string) (string, error) {
	tokens := map[byte]string{'%': "%", 'h': h.HostName, 'n': h.Alias, 'p': strconv.Itoa(h.Port), 'r': h.User}
	var out strings.Builder
	for i := 0; i < len(word); i++ {
		if word[i] != '%' {
			out.WriteByte(word[i])
			continue
		}
		if i++; i == len(word) {
			return "", errors.New("% at the end of a word")
		}
		text, ok := more[word[i]]
		if !ok {
			if text, ok = tokens[word[i]]; !ok {
				return "", fmt.Errorf("unknown token %%%c", word[i])
			}
		}
		out.WriteString(text)
	}
	return out.String(), nil
}
