package sshconf

import (
	"slices"
	"strings"
)

// keyword is one that sets an option.
type keyword struct {
	name  string // in lower case
	set   setter
	usual string // what ssh -G prints when it is not said; "" for no line
	many  bool   // ssh -G prints a line for each value
	// beyond says why what the keyword asks for is not honoured; "" where it is,
	// or where a tunnel does not miss it.
	beyond string
}

// keywords are in the order in which ssh -G prints them.
var keywords = []keyword{
	{name: "user", set: one(word)},
	{name: "hostname", set: one(word)},
	{name: "port", set: one(port), usual: "22"},

	{name: "addressfamily", set: one(choice("inet inet6 any")), usual: "any"},
	{name: "batchmode", set: one(yesNo), usual: "no"},
	{name: "canonicalizefallbacklocal", set: one(yesNo), usual: "yes"},
	{name: "canonicalizehostname", set: one(choice("yes:true no:false always | true false")), usual: "false"},
	{name: "checkhostip", set: one(yesNo), usual: "no", beyond: "host keys are looked up by name alone"},
	{name: "compression", set: one(choice("yes no")), usual: "no", beyond: "the connection is not compressed"},
	{name: "controlmaster", set: one(choice("yes:true no:false ask auto autoask | true false")), usual: "false"},
	{name: "enablesshkeysign", set: one(yesNo), usual: "no"},
	{name: "clearallforwardings", set: one(yesNo), usual: "no"},
	{name: "exitonforwardfailure", set: one(yesNo), usual: "no"},
	{name: "fingerprinthash", set: one(choice("md5:MD5 sha1:SHA1 sha256:SHA256 sha384:SHA384 sha512:SHA512")), usual: "SHA256"},
	{name: "forwardx11", set: one(yesNo), usual: "no", beyond: "there is no session to forward X11 for"},
	{name: "forwardx11trusted", set: one(yesNo), usual: "yes"}, // Debian's; upstream no
	{name: "gatewayports", set: one(yesNo), usual: "no"},
	{name: "gssapiauthentication", set: one(yesNo), beyond: "GSSAPI is not spoken"},
	{name: "gssapidelegatecredentials", set: one(yesNo)},
	{name: "hashknownhosts", set: one(yesNo), usual: "no"},
	{name: "hostbasedauthentication", set: one(yesNo), usual: "no", beyond: "the host's own keys are out of reach"},
	{name: "identitiesonly", set: one(yesNo), usual: "no"},
	{name: "kbdinteractiveauthentication", set: one(yesNo), usual: "yes"},
	{name: "nohostauthenticationforlocalhost", set: one(yesNo), usual: "no"},
	{name: "passwordauthentication", set: one(yesNo), usual: "yes"},
	{name: "permitlocalcommand", set: one(yesNo), usual: "no", beyond: "no LocalCommand is run"},
	{name: "proxyusefdpass", set: one(yesNo), usual: "no", beyond: "a ProxyCommand has to carry the connection itself"},
	{name: "pubkeyauthentication", set: one(choice("yes:true no:false unbound host-bound | true false")), usual: "true"},
	{name: "requesttty", set: one(choice("no:false yes:true force auto | true false")), usual: "auto"},
	{name: "sessiontype", set: one(choice("none subsystem default")), usual: "default"},
	{name: "stdinnull", set: one(yesNo), usual: "no"},
	{name: "forkafterauthentication", set: one(yesNo), usual: "no"},
	{name: "streamlocalbindunlink", set: one(yesNo), usual: "no"},
	{name: "stricthostkeychecking", set: one(choice("yes:true ask accept-new no:false | true false off:false")), usual: "ask"},
	{name: "tcpkeepalive", set: one(yesNo), usual: "yes"},
	{name: "tunnel", set: one(choice("yes:point-to-point point-to-point ethernet no:false | true:point-to-point false")),
		usual: "false", beyond: "no network device is forwarded"},
	{name: "verifyhostkeydns", set: one(choice("yes:true no:false ask | true false")), usual: "false",
		beyond: "no host key is looked up in the DNS"},
	{name: "visualhostkey", set: one(yesNo), usual: "no"},
	{name: "updatehostkeys", set: one(choice("yes:true no:false ask | true false"))},
	{name: "enableescapecommandline", set: one(yesNo), usual: "no"},

	{name: "canonicalizemaxdots", set: one(count), usual: "1"},
	{name: "connectionattempts", set: one(count), usual: "1"},
	{name: "forwardx11timeout", set: one(interval), usual: "1200"},
	{name: "numberofpasswordprompts", set: one(count), usual: "3"},
	{name: "serveralivecountmax", set: one(count), usual: "3"},
	{name: "serveraliveinterval", set: one(interval)},
	{name: "requiredrsasize", set: one(count), usual: "1024"},

	{name: "bindaddress", set: one(word)},
	{name: "bindinterface", set: one(word)},
	{name: "ciphers", set: one(algorithms(cipherNames))},
	{name: "controlpath", set: one(word)},
	{name: "hostkeyalgorithms", set: one(algorithms(keyNames))},
	{name: "hostkeyalias", set: one(word)},
	{name: "hostbasedacceptedalgorithms", set: one(algorithms(keyNames))},
	{name: "identityagent", set: one(agent)},
	{name: "ignoreunknown", set: one(word)},
	{name: "kbdinteractivedevices", set: one(word)},
	{name: "kexalgorithms", set: one(algorithms(kexNames))},
	{name: "casignaturealgorithms", set: one(algorithms(keyNames))},
	{name: "localcommand", set: command},
	{name: "remotecommand", set: command, beyond: "no command is run at the far end"},
	{name: "loglevel", set: one(choice("QUIET:SILENT FATAL ERROR INFO VERBOSE DEBUG DEBUG1:DEBUG DEBUG2 DEBUG3 | SILENT")), usual: "INFO"},
	{name: "macs", set: one(algorithms(macNames))},
	{name: "pkcs11provider", set: one(word), beyond: "PKCS#11 is not spoken; load the key into ssh-agent"},
	{name: "securitykeyprovider", set: one(word), usual: "internal", beyond: "security keys are used through ssh-agent alone"},
	{name: "preferredauthentications", set: one(word)},
	{name: "pubkeyacceptedalgorithms", set: one(algorithms(keyNames))},
	{name: "revokedhostkeys", set: one(word)},
	{name: "xauthlocation", set: one(word), usual: "/usr/bin/xauth"},
	{name: "knownhostscommand", set: command},

	{name: "dynamicforward", set: forward, many: true, beyond: "only FTP is forwarded"},
	{name: "localforward", set: forward, many: true, beyond: "only FTP is forwarded"},
	{name: "remoteforward", set: forward, many: true, beyond: "only FTP is forwarded"},
	{name: "identityfile", set: add(100), many: true}, // SSH_MAX_IDENTITY_FILES
	{name: "canonicaldomains", set: list(32, domain), usual: "none"},
	{name: "certificatefile", set: add(100), many: true},
	{name: "globalknownhostsfile", set: list(32, nil)}, // SSH_MAX_HOSTS_FILES
	{name: "userknownhostsfile", set: list(32, nil)},
	{name: "addkeystoagent", set: addKeys, usual: "false"},
	{name: "forwardagent", set: forwardAgent, usual: "no", beyond: "there is no session to forward an agent for"},
	{name: "connecttimeout", set: one(interval), usual: "none"},
	{name: "canonicalizepermittedcnames", set: list(32, permittedCNAME), usual: "none"},
	{name: "controlpersist", set: one(persist), usual: "no"},
	{name: "ipqos", set: qos, usual: "lowdelay throughput"}, // Debian's; upstream af21 cs1
	{name: "rekeylimit", set: rekey, usual: "0 0"},
	{name: "proxyjump", set: proxyJump},
	{name: "proxycommand", set: proxyCommand},

	// Newer than what ssh -G is compared with.
	{name: "tag", set: one(word)},
	{name: "refuseconnection", set: one(word)},
}

// aliases are other names, mostly from the past.
var aliases = map[string]string{
	"challengeresponseauthentication": "kbdinteractiveauthentication",
	"skeyauthentication":              "kbdinteractiveauthentication",
	"tisauthentication":               "kbdinteractiveauthentication",
	"dsaauthentication":               "pubkeyauthentication",
	"hostbasedkeytypes":               "hostbasedacceptedalgorithms",
	"identityfile2":                   "identityfile",
	"keepalive":                       "tcpkeepalive",
	"protocolkeepalives":              "serveraliveinterval", // Debian's
	"setuptimeout":                    "serveraliveinterval", // Debian's
	"pubkeyacceptedkeytypes":          "pubkeyacceptedalgorithms",
	"rsaminsize":                      "requiredrsasize",
	"smartcarddevice":                 "pkcs11provider",
}

// ignored are the other keywords of ssh_config(5), those that ssh still knows
// from the past, and those that vendors add. A line with one is read over.
var ignored = names(`
	ChannelTimeout EscapeChar LogVerbose ObscureKeystrokeTiming PermitRemoteOpen SendEnv SetEnv
	StreamLocalBindMask SyslogFacility TunnelDevice VersionAddendum WarnWeakCrypto

	AFSTokenPassing Cipher CompressionLevel FallBackToRsh GlobalKnownHostsFile2
	KerberosAuthentication KerberosTgtPassing Protocol RhostsAuthentication
	RhostsRSAAuthentication RSAAuthentication UseRoaming UserKnownHostsFile2
	UsePrivilegedPort UseRsh

	GSSAPIClientIdentity GSSAPIKexAlgorithms GSSAPIKeyExchange GSSAPIRenewalForcesRekey
	GSSAPIServerIdentity GSSAPITrustDns UseKeychain
`)

// byName finds the keywords.
var byName = func() map[string]*keyword {
	index := make(map[string]*keyword)
	for i := range keywords {
		index[keywords[i].name] = &keywords[i]
	}
	for alias, name := range aliases {
		index[alias] = index[name]
	}
	return index
}()

func names(list string) map[string]bool {
	set := make(map[string]bool)
	for name := range strings.FieldsSeq(list) {
		set[strings.ToLower(name)] = true
	}
	return set
}

// options is what has been said so far, by keyword.
type options map[string]value

type value struct {
	words []string // as ssh -G prints them
	open  bool     // "none" for a time: a later line may still set it, as in ssh
	place string   // file and line
	text  string   // of the line
}

// has says that a later line cannot set name any more.
func (o options) has(name string) bool {
	v, said := o[name]
	return said && !v.open
}

// said returns what was said of name, "" for nothing.
func (o options) said(name string) string {
	if o.has(name) {
		return strings.Join(o[name].words, " ")
	}
	return ""
}

// get returns the same, or what ssh takes instead.
func (o options) get(name string) string {
	if k := byName[name]; k != nil && !o.has(name) {
		return k.usual
	}
	return o.said(name)
}

// cleared returns the same, and "" for "none".
func (o options) cleared(name string) string {
	if s := o.get(name); !isNone(s) {
		return s
	}
	return ""
}

// put sets name unless the line is out of force or an earlier one did so.
func (o options) put(name string, l *line, words ...string) {
	if l.active && !o.has(name) {
		o[name] = value{words: words, open: slices.Equal(words, []string{none}), place: l.place(), text: l.text()}
	}
}

func isNone(s string) bool { return strings.EqualFold(s, "none") }
