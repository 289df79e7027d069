package tunnel

import (
	"errors"
	"slices"
	"strings"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// An algorithmList is a keyword of ssh_config(5) that lists algorithms.
type algorithmList struct {
	keyword string
	said    sshconf.Algorithms
	own     []string // offered when nothing was said, best first
	known   []string
}

// algorithmLists are those of h, by keyword. Own are the algorithms that the
// library calls secure, not its defaults: those keep some that are not.
func algorithmLists(h *sshconf.Host) []algorithmList {
	own, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	// The old name of curve25519-sha256, which may be the only one said.
	kex := append(insecure.KeyExchanges, "curve25519-sha256@libssh.org")
	lists := []algorithmList{
		{"KexAlgorithms", h.KexAlgorithms, own.KeyExchanges, kex},
		{"Ciphers", h.Ciphers, own.Ciphers, insecure.Ciphers},
		{"MACs", h.MACs, own.MACs, insecure.MACs},
		{"HostKeyAlgorithms", h.HostKeyAlgorithms, preferHostKeys(own.HostKeys), insecure.HostKeys},
		{"PubkeyAcceptedAlgorithms", h.PubkeyAcceptedAlgorithms, publicKeyAlgorithms(own.PublicKeyAuths), publicKeyAlgorithms(insecure.PublicKeyAuths)},
		{"CASignatureAlgorithms", h.CASignatureAlgorithms, own.PublicKeyAuths, insecure.PublicKeyAuths},
	}
	for i := range lists {
		lists[i].known = slices.Concat(lists[i].own, lists[i].known)
	}
	return lists
}

// Algorithms are those that are offered to h, in order of preference, by the
// keyword of ssh_config(5) in lower case: the library's secure ones as the
// configuration changes them.
func Algorithms(h *sshconf.Host) map[string][]string {
	lists := make(map[string][]string)
	for _, l := range algorithmLists(h) {
		lists[strings.ToLower(l.keyword)] = l.said.Of(l.own, l.known)
	}
	return lists
}

// checkAlgorithms makes sure that there is something to offer of what every
// connection needs: the library would take an empty list for its defaults.
func checkAlgorithms(h *sshconf.Host) error {
	for _, l := range algorithmLists(h)[:4] {
		if len(l.said.Of(l.own, l.known)) == 0 {
			return &AlgorithmError{Keyword: l.keyword, Said: string(l.said), Ours: l.known}
		}
	}
	return nil
}

// negotiationKeywords are where to look when nothing is in common, by the last
// word of what the library calls it.
var negotiationKeywords = map[string]string{
	"exchange": "KexAlgorithms",
	"key":      "HostKeyAlgorithms",
	"cipher":   "Ciphers",
	"MAC":      "MACs",
}

// negotiationError has a failed negotiation name its keyword; other errors stay.
func negotiationError(h *sshconf.Host, err error) error {
	none, ok := errors.AsType[*ssh.AlgorithmNegotiationError](err)
	if !ok {
		return err
	}
	e := &AlgorithmError{Keyword: none.What, Ours: algorithmNames(none.SupportedAlgorithms), Theirs: algorithmNames(none.RequestedAlgorithms), Err: err}
	words := strings.Fields(none.What)
	if keyword := negotiationKeywords[words[len(words)-1]]; keyword != "" {
		e.Keyword = keyword
	}
	for _, l := range algorithmLists(h) {
		if l.keyword == e.Keyword {
			e.Said = string(l.said)
		}
	}
	return e
}

// algorithmNames are the names of algorithms in a list that has signals among them (RFC
// 8308, section 2.1; strict key exchange).
func algorithmNames(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(name string) bool {
		return strings.HasPrefix(name, "ext-info-") || strings.HasPrefix(name, "kex-strict-")
	})
}
