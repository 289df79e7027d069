package sshconf

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// options is what has been said so far: "", nil and -1 for nothing.
type options struct {
	hostName, user, hostKeyAlias, addressFamily string
	identitiesOnly, strictHostKeyChecking       string
	batchMode, hashKnownHosts, identityAgent    string
	proxyJump, proxyCommand, ignoreUnknown      string
	identityFiles                               []string
	userKnownHostsFiles, globalKnownHostsFiles  []string
	port                                        int
	connectTimeout                              int // seconds
	serverAliveInterval, serverAliveCountMax    int
}

func newOptions() *options {
	return &options{port: -1, connectTimeout: -1, serverAliveInterval: -1, serverAliveCountMax: -1}
}

// saidNone is the "none" of a time: a later line may still set it, as in ssh.
const saidNone = -2

// setter checks the arguments of a keyword, takes those that belong to it off
// the line and sets the option if the line is in force and the first to do so.
type setter func(*options, *line) error

// keywords are those that set an option.
var keywords = map[string]setter{
	"addressfamily":         choice(func(o *options) *string { return &o.addressFamily }, addressFamilies),
	"batchmode":             choice(func(o *options) *string { return &o.batchMode }, yesNo),
	"connecttimeout":        number(func(o *options) *int { return &o.connectTimeout }, parseTime),
	"globalknownhostsfile":  list(func(o *options) *[]string { return &o.globalKnownHostsFiles }),
	"hashknownhosts":        choice(func(o *options) *string { return &o.hashKnownHosts }, yesNo),
	"hostkeyalias":          text(func(o *options) *string { return &o.hostKeyAlias }),
	"hostname":              text(func(o *options) *string { return &o.hostName }),
	"identitiesonly":        choice(func(o *options) *string { return &o.identitiesOnly }, yesNo),
	"identityagent":         text(func(o *options) *string { return &o.identityAgent }),
	"identityfile":          setIdentityFile,
	"identityfile2":         setIdentityFile,
	"ignoreunknown":         text(func(o *options) *string { return &o.ignoreUnknown }),
	"port":                  number(func(o *options) *int { return &o.port }, parsePort),
	"proxycommand":          setProxyCommand,
	"proxyjump":             setProxyJump,
	"serveralivecountmax":   number(func(o *options) *int { return &o.serverAliveCountMax }, parseCount),
	"serveraliveinterval":   number(func(o *options) *int { return &o.serverAliveInterval }, parseTime),
	"protocolkeepalives":    number(func(o *options) *int { return &o.serverAliveInterval }, parseTime), // Debian's old name
	"stricthostkeychecking": choice(func(o *options) *string { return &o.strictHostKeyChecking }, strictness),
	"user":                  text(func(o *options) *string { return &o.user }),
	"userknownhostsfile":    list(func(o *options) *[]string { return &o.userKnownHostsFiles }),
}

// ignored are the other keywords of ssh_config(5), those that ssh still knows
// from the past, and those that vendors add.
var ignored = names(`
	AddKeysToAgent BindAddress BindInterface CanonicalDomains CanonicalizeFallbackLocal
	CanonicalizeHostname CanonicalizeMaxDots CanonicalizePermittedCNAMEs CASignatureAlgorithms
	CertificateFile ChannelTimeout CheckHostIP Ciphers ClearAllForwardings Compression
	ConnectionAttempts ControlMaster ControlPath ControlPersist DynamicForward EnableEscapeCommandline
	EnableSSHKeysign EscapeChar ExitOnForwardFailure FingerprintHash ForkAfterAuthentication
	ForwardAgent ForwardX11 ForwardX11Timeout ForwardX11Trusted GatewayPorts GSSAPIAuthentication
	GSSAPIDelegateCredentials HostbasedAcceptedAlgorithms HostbasedAuthentication
	HostKeyAlgorithms IPQoS KbdInteractiveAuthentication KbdInteractiveDevices
	KexAlgorithms KnownHostsCommand LocalCommand LocalForward LogLevel LogVerbose MACs
	NoHostAuthenticationForLocalhost NumberOfPasswordPrompts ObscureKeystrokeTiming
	PasswordAuthentication PermitLocalCommand PermitRemoteOpen PKCS11Provider
	PreferredAuthentications ProxyUseFdpass PubkeyAcceptedAlgorithms PubkeyAuthentication
	RefuseConnection RekeyLimit RemoteCommand RemoteForward RequestTTY RequiredRSASize
	RevokedHostKeys SecurityKeyProvider SendEnv SessionType SetEnv StdinNull StreamLocalBindMask
	StreamLocalBindUnlink SyslogFacility Tag TCPKeepAlive Tunnel TunnelDevice UpdateHostKeys
	VerifyHostKeyDNS VersionAddendum VisualHostKey WarnWeakCrypto XAuthLocation

	AFSTokenPassing ChallengeResponseAuthentication Cipher CompressionLevel DSAAuthentication
	FallBackToRsh GlobalKnownHostsFile2 HostbasedKeyTypes KeepAlive KerberosAuthentication
	KerberosTgtPassing Protocol PubkeyAcceptedKeyTypes RhostsAuthentication
	RhostsRSAAuthentication RSAAuthentication SkeyAuthentication SmartcardDevice
	TISAuthentication UseRoaming UserKnownHostsFile2 UsePrivilegedPort UseRsh

	GSSAPIClientIdentity GSSAPIKexAlgorithms GSSAPIKeyExchange GSSAPIRenewalForcesRekey
	GSSAPIServerIdentity GSSAPITrustDns RSAMinSize SetupTimeout UseKeychain
`)

// unobeyed are those of them that change who is trusted or who is let in. A
// line with one is read over with a note.
var unobeyed = names(`
	CanonicalizeHostname CASignatureAlgorithms CertificateFile Ciphers HostKeyAlgorithms
	KbdInteractiveAuthentication KexAlgorithms KnownHostsCommand MACs PasswordAuthentication
	PreferredAuthentications PubkeyAcceptedAlgorithms PubkeyAuthentication RequiredRSASize
`)

// unsafe are those that forbid something: read over, they would allow it.
var unsafe = names("RefuseConnection RevokedHostKeys")

func names(list string) map[string]bool {
	set := make(map[string]bool)
	for name := range strings.FieldsSeq(list) {
		set[strings.ToLower(name)] = true
	}
	return set
}

var (
	yesNo           = map[string]string{"yes": "yes", "true": "yes", "no": "no", "false": "no"}
	addressFamilies = map[string]string{"any": "any", "inet": "inet", "inet6": "inet6"}
	strictness      = map[string]string{
		"yes": "yes", "true": "yes", "ask": "ask", "accept-new": "accept-new",
		"no": "no", "false": "no", "off": "no",
	}
)

// text is a keyword with one word.
func text(field func(*options) *string) setter {
	return func(o *options, l *line) error {
		arg, err := l.next()
		if p := field(o); err == nil && l.active && *p == "" {
			*p = arg
		}
		return err
	}
}

// choice is a keyword with one of some words, in any case.
func choice(field func(*options) *string, words map[string]string) setter {
	return func(o *options, l *line) error {
		arg, err := l.next()
		if err != nil {
			return err
		}
		value, ok := words[strings.ToLower(arg)]
		if !ok {
			return fmt.Errorf("unsupported option %q", arg)
		}
		if p := field(o); l.active && *p == "" {
			*p = value
		}
		return nil
	}
}

// number is a keyword with a number of some kind.
func number(field func(*options) *int, parse func(string) (int, error)) setter {
	return func(o *options, l *line) error {
		arg, err := l.next()
		if err != nil {
			return err
		}
		n, err := parse(arg)
		if p := field(o); err == nil && l.active && *p < 0 {
			*p = n
		}
		return err
	}
}

// list is a keyword with several file names, or with "none" alone.
func list(field func(*options) *[]string) setter {
	const limit = 32 // SSH_MAX_HOSTS_FILES
	return func(o *options, l *line) error {
		args, err := l.all()
		if err != nil {
			return err
		}
		if len(args) > 1 && slices.ContainsFunc(args, func(s string) bool { return strings.EqualFold(s, "none") }) {
			return errors.New(`"none" must appear alone`)
		}
		if p := field(o); l.active && *p == nil {
			if len(args) > limit {
				return fmt.Errorf("more than %d files", limit)
			}
			*p = args
		}
		return nil
	}
}

// setIdentityFile adds to what was said before.
func setIdentityFile(o *options, l *line) error {
	const limit = 100 // SSH_MAX_IDENTITY_FILES
	arg, err := l.next()
	if err != nil || !l.active {
		return err
	}
	if len(o.identityFiles) == limit {
		return fmt.Errorf("more than %d files", limit)
	}
	if !slices.Contains(o.identityFiles, arg) {
		o.identityFiles = append(o.identityFiles, arg)
	}
	return nil
}

// setProxyJump keeps the list as it stands. A ProxyCommand before it wins.
func setProxyJump(o *options, l *line) error {
	l.args = nil
	jumps, _, _ := strings.Cut(l.rest, "#")
	jumps = strings.TrimRight(strings.TrimLeft(jumps, blanks+"="), blanks)
	if strings.EqualFold(jumps, "none") {
		jumps = "none"
	} else {
		if strings.ContainsAny(jumps, blanks) {
			return fmt.Errorf("blanks in %q", jumps)
		}
		for hop := range strings.SplitSeq(jumps, ",") {
			if _, err := parseHop(hop); err != nil {
				return fmt.Errorf("%q: %w", jumps, err)
			}
		}
	}
	if l.active && o.proxyJump == "" && o.proxyCommand == "" {
		o.proxyJump = jumps
	}
	return nil
}

// setProxyCommand keeps the command as it stands. A ProxyJump before it wins,
// but for "none".
func setProxyCommand(o *options, l *line) error {
	l.args = nil
	if l.active && o.proxyCommand == "" && (o.proxyJump == "" || o.proxyJump == "none") {
		o.proxyCommand = strings.TrimLeft(l.rest, blanks+"=")
	}
	return nil
}

// parseInt takes a number from 0 to limit, with the blanks and sign that
// strtonum(3) allows.
func parseInt(s string, limit int64) (int, error) {
	n, err := strconv.ParseInt(strings.TrimLeft(s, blanks), 10, 64)
	if err == nil && (n < 0 || n > limit) {
		err = strconv.ErrRange
	}
	return int(n), err
}

func parseCount(s string) (int, error) {
	n, err := parseInt(s, math.MaxInt32)
	if err != nil {
		return 0, fmt.Errorf("bad number %q", s)
	}
	return n, nil
}

// parseTime takes a time in ssh's form, as "90", "10m" or "1h30m", and returns
// seconds, or saidNone.
func parseTime(s string) (int, error) {
	if s == "none" {
		return saidNone, nil
	}
	units := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	var total int64
	for rest := s; rest != ""; {
		digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
		n, err := strconv.ParseInt(rest[:digits], 10, 32)
		unit := int64(1)
		if rest = rest[digits:]; rest != "" {
			unit = units[rest[0]|0x20]
			rest = rest[1:]
		}
		total += n * unit
		if err != nil || unit == 0 || total > math.MaxInt32 {
			return 0, fmt.Errorf("invalid time %q", s)
		}
	}
	return int(total), nil
}
