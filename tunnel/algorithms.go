package tunnel

import (
	"slices"

	"golang.org/x/crypto/ssh"

	"github.com/pasvport/pasvport/sshconf"
)

// Algorithms are those that are offered to h, in order of preference, by the
// keyword of ssh_config(5) in lower case: the library's secure ones as the
// configuration changes them.
func Algorithms(h *sshconf.Host) map[string][]string {
	own, insecure := ssh.SupportedAlgorithms(), ssh.InsecureAlgorithms()
	lists := make(map[string][]string)
	for _, l := range []struct {
		keyword       string
		said          sshconf.Algorithms
		own, insecure []string
	}{
		{"ciphers", h.Ciphers, own.Ciphers, insecure.Ciphers},
		{"macs", h.MACs, own.MACs, insecure.MACs},
		{"kexalgorithms", h.KexAlgorithms, own.KeyExchanges, insecure.KeyExchanges},
		{"hostkeyalgorithms", h.HostKeyAlgorithms, preferHostKeys(own.HostKeys), insecure.HostKeys},
		{"pubkeyacceptedalgorithms", h.PubkeyAcceptedAlgorithms, publicKeyAlgorithms(own.PublicKeyAuths), publicKeyAlgorithms(insecure.PublicKeyAuths)},
		{"casignaturealgorithms", h.CASignatureAlgorithms, own.PublicKeyAuths, insecure.PublicKeyAuths},
	} {
		lists[l.keyword] = l.said.Of(l.own, slices.Concat(l.own, l.insecure))
	}
	return lists
}
