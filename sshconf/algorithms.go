package sshconf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Algorithms is a list of algorithms as the configuration has it: names and
// patterns with commas, which replace a program's own, or after "+", "-" or "^"
// are added to it, taken from it or preferred in it. "" leaves it as it is.
type Algorithms string

// Of returns the list in force, given a program's own and all that it knows.
// What the program does not know is left out.
func (a Algorithms) Of(own, known []string) []string {
	op, list := a.split()
	switch op {
	case "":
		if a == "" {
			return own
		}
	case "-":
		return slices.DeleteFunc(slices.Clone(own), func(s string) bool { return MatchList(s, list) })
	}
	var said []string
	for pattern := range strings.SplitSeq(list, ",") {
		for _, name := range known {
			if match(name, pattern) && !slices.Contains(said, name) {
				said = append(said, name)
			}
		}
	}
	switch op {
	case "+":
		return slices.Concat(own, without(said, own))
	case "^":
		return slices.Concat(said, without(own, said))
	}
	return said
}

func (a Algorithms) split() (op, list string) {
	if a != "" && strings.Contains("+-^", string(a[:1])) {
		return string(a[:1]), string(a[1:])
	}
	return "", string(a)
}

func without(list, others []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(others, s) })
}

// The names that OpenSSH knows, up to 10.2. Whatever else is said is a slip of
// the pen, as in ssh; whether a program has them is another matter.
var (
	cipherNames = strings.Fields(`
		3des-cbc aes128-cbc aes192-cbc aes256-cbc aes128-ctr aes192-ctr aes256-ctr
		aes128-gcm@openssh.com aes256-gcm@openssh.com chacha20-poly1305@openssh.com`)
	macNames = strings.Fields(`
		hmac-sha1 hmac-sha1-96 hmac-sha2-256 hmac-sha2-512 hmac-md5 hmac-md5-96
		umac-64@openssh.com umac-128@openssh.com
		hmac-sha1-etm@openssh.com hmac-sha1-96-etm@openssh.com hmac-sha2-256-etm@openssh.com
		hmac-sha2-512-etm@openssh.com hmac-md5-etm@openssh.com hmac-md5-96-etm@openssh.com
		umac-64-etm@openssh.com umac-128-etm@openssh.com`)
	kexNames = strings.Fields(`
		diffie-hellman-group1-sha1 diffie-hellman-group14-sha1 diffie-hellman-group14-sha256
		diffie-hellman-group16-sha512 diffie-hellman-group18-sha512
		diffie-hellman-group-exchange-sha1 diffie-hellman-group-exchange-sha256
		ecdh-sha2-nistp256 ecdh-sha2-nistp384 ecdh-sha2-nistp521
		curve25519-sha256 curve25519-sha256@libssh.org
		sntrup761x25519-sha512 sntrup761x25519-sha512@openssh.com mlkem768x25519-sha256`)
	keyNames = strings.Fields(`
		ssh-ed25519 ssh-ed25519-cert-v01@openssh.com
		sk-ssh-ed25519@openssh.com sk-ssh-ed25519-cert-v01@openssh.com
		ecdsa-sha2-nistp256 ecdsa-sha2-nistp256-cert-v01@openssh.com
		ecdsa-sha2-nistp384 ecdsa-sha2-nistp384-cert-v01@openssh.com
		ecdsa-sha2-nistp521 ecdsa-sha2-nistp521-cert-v01@openssh.com
		sk-ecdsa-sha2-nistp256@openssh.com sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
		webauthn-sk-ecdsa-sha2-nistp256@openssh.com webauthn-sk-ecdsa-sha2-nistp256-cert-v01@openssh.com
		ssh-dss ssh-dss-cert-v01@openssh.com ssh-rsa ssh-rsa-cert-v01@openssh.com
		rsa-sha2-256 rsa-sha2-256-cert-v01@openssh.com rsa-sha2-512 rsa-sha2-512-cert-v01@openssh.com`)
)

// shortKeyNames pass as names of key algorithms and match none.
var shortKeyNames = names("ED25519 ED25519-SK RSA DSA ECDSA ECDSA-SK")

// algorithms checks a list of algorithms against those that ssh knows. Only key
// algorithms may be said by patterns; what is taken away may be anything.
func algorithms(known []string) func(string) (string, error) {
	keys := slices.Contains(known, "ssh-rsa")
	return func(s string) (string, error) {
		op, list := Algorithms(s).split()
		switch {
		case len(s) > maxExpanded:
			return "", errLong
		case op == "-":
			return s, nil
		case list == "":
			return "", fmt.Errorf("no algorithm behind %q", s)
		}
		for name := range strings.SplitSeq(list, ",") {
			switch {
			case name == "": // ssh looks no further
				return usable(s, known)
			case slices.Contains(known, name), keys && shortKeyNames[strings.ToLower(name)]:
			case keys && slices.ContainsFunc(known, func(s string) bool { return match(s, strings.TrimPrefix(name, "!")) }):
			default:
				return "", fmt.Errorf("unknown algorithm %q: expected some of %s", name, strings.Join(known, ", "))
			}
		}
		return usable(s, known)
	}
}

// usable refuses a list that ssh takes and then cannot work with.
func usable(s string, known []string) (string, error) {
	switch op, list := Algorithms(s).split(); {
	case strings.Contains(","+list, ",!"):
		return "", errors.New("negated patterns are not supported here")
	case op == "" && len(Algorithms(s).Of(nil, known)) == 0:
		return "", fmt.Errorf("no algorithm in %q", s)
	}
	return s, nil
}
