package sshconf

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"
)

// setter checks the arguments of a keyword, takes those that belong to it off
// the line and sets the option if the line is in force and the first to do so.
type setter func(o options, name string, l *line) error

// one is a keyword with one word, which read checks and writes as ssh -G does.
func one(read func(string) (string, error)) setter {
	return func(o options, name string, l *line) error {
		arg, err := l.next()
		if err != nil {
			return err
		}
		word, err := read(arg)
		if err == nil {
			o.put(name, l, word)
		}
		return err
	}
}

func word(s string) (string, error) { return s, nil }

var yesNo = choice("yes no | true:yes false:no")

// choice takes one of some words, in any case. A colon comes before what ssh -G
// prints for the word; those behind the bar are not what one should write.
func choice(spec string) func(string) (string, error) {
	offered, _, _ := strings.Cut(spec, " | ")
	var expected []string
	for s := range strings.FieldsSeq(offered) {
		name, _, _ := strings.Cut(s, ":")
		expected = append(expected, name)
	}
	printed := make(map[string]string)
	for s := range strings.FieldsSeq(strings.Replace(spec, "|", "", 1)) {
		name, value, ok := strings.Cut(s, ":")
		if !ok {
			value = name
		}
		printed[strings.ToLower(name)] = value
	}
	return func(s string) (string, error) {
		value, ok := printed[strings.ToLower(s)]
		if !ok {
			return "", fmt.Errorf("unsupported option %q: expected %s", s, strings.Join(expected, ", "))
		}
		return value, nil
	}
}

func port(s string) (string, error) {
	n, err := parsePort(s)
	if err != nil {
		err = fmt.Errorf("%w: expected one from 1 to 65535 or the name of a service", err)
	}
	return strconv.Itoa(n), err
}

func count(s string) (string, error) {
	n, err := parseInt(s, math.MaxInt32)
	if err != nil {
		return "", fmt.Errorf("bad number %q: expected one from 0 to %d", s, math.MaxInt32)
	}
	return strconv.Itoa(n), nil
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

// none is what interval makes of "none"; no other word holds a blank.
const none = " none"

// interval takes a time in ssh's form and writes seconds.
func interval(s string) (string, error) {
	if s == "none" {
		return none, nil
	}
	n, err := parseTime(s)
	return strconv.Itoa(n), err
}

// parseTime takes a time as "90", "10m" or "1h30m" and returns seconds.
func parseTime(s string) (int, error) {
	units := map[byte]int64{'s': 1, 'm': 60, 'h': 3600, 'd': 86400, 'w': 604800}
	var total int64
	if s == "" {
		return 0, errMissing
	}
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
			return 0, fmt.Errorf("invalid time %q: expected one like 90, 10m or 1h30m", s)
		}
	}
	return int(total), nil
}

// persist is ControlPersist's yes, no or time.
func persist(s string) (string, error) {
	switch s {
	case "yes", "true":
		return "yes", nil
	case "no", "false":
		return "no", nil
	}
	n, err := parseTime(s)
	if n == 0 {
		return "yes", err // for ever
	}
	return strconv.Itoa(n), err
}

// agent is a socket's name, whose variables have to be there already.
func agent(s string) (string, error) {
	for rest := s; ; {
		_, after, ok := strings.Cut(rest, "${")
		if !ok {
			break
		}
		name, after, ok := strings.Cut(after, "}")
		if _, set := os.LookupEnv(name); !ok || !set {
			return "", fmt.Errorf("%q: environment variable %q is not set", s, name)
		}
		rest = after
	}
	if name, ok := strings.CutPrefix(s, "$"); ok && !strings.HasPrefix(name, "{") && !validEnvName(name) {
		return "", fmt.Errorf("%q is not the name of an environment variable", s)
	}
	return s, nil
}

func validEnvName(s string) bool {
	return s != "" && strings.Trim(s, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_") == ""
}

// forwardAgent takes yes, no or an agent's socket; the latter counts whatever
// was said of the former.
func forwardAgent(o options, name string, l *line) error {
	arg, err := l.next()
	if err != nil {
		return err
	}
	if value, err := yesNo(arg); err == nil {
		o.put(name, l, value)
		return nil
	}
	if _, err = agent(arg); err == nil {
		o.put(name, l, "yes")
		o.put("forwardagent path", l, arg)
	}
	return err
}

// addKeys takes AddKeysToAgent's yes, no or ask, or a time, or confirm and a time.
func addKeys(o options, name string, l *line) error {
	arg, err := l.next()
	if err != nil {
		return err
	}
	how, err := choice("yes:true no:false ask confirm | true false")(arg)
	lifetime := arg
	switch {
	case err != nil:
		how = ""
	case how == "confirm" && len(l.args) > 0:
		lifetime, l.args = l.args[0], l.args[1:]
	default:
		o.put(name, l, how)
		return nil
	}
	n, bad := parseTime(lifetime)
	switch {
	case bad != nil && err != nil:
		return fmt.Errorf("%w, or a time", err)
	case bad != nil:
		return bad
	case n > 0:
		how = strings.TrimSpace(how + " " + strconv.Itoa(n))
	case how == "":
		how = "true"
	}
	o.put(name, l, how)
	return nil
}

// command is all of the line that follows the keyword, as it stands.
func command(o options, name string, l *line) error {
	l.args = nil
	o.put(name, l, strings.TrimLeft(l.rest, blanks+"="))
	return nil
}

// list is a keyword with several words, or with "none" alone.
func list(limit int, read func(string) (string, error)) setter {
	return func(o options, name string, l *line) error {
		args, err := l.all()
		if err != nil {
			return err
		}
		if len(args) > 1 && slices.ContainsFunc(args, isNone) {
			return errors.New(`"none" must appear alone`)
		}
		for i := range args {
			if read == nil {
				break
			}
			if args[i], err = read(args[i]); err != nil {
				return err
			}
		}
		if l.active && !o.has(name) && len(args) > limit {
			return fmt.Errorf("more than %d", limit)
		}
		if len(args) > 0 {
			o.put(name, l, args...)
		}
		return nil
	}
}

// domain is one that completes a host name.
func domain(s string) (string, error) {
	if !validDomain(s) {
		return "", fmt.Errorf("%q is not a domain", s)
	}
	return lower(strings.TrimSuffix(s, ".")), nil
}

// permittedCNAME is a rule "names:targets".
func permittedCNAME(s string) (string, error) {
	switch source, target, ok := strings.Cut(s, ":"); {
	case isNone(s):
		return "none", nil
	case s == "*":
		return "*:*", nil
	case !ok || target == "":
		return "", fmt.Errorf("invalid permitted CNAME %q: expected names:targets", s)
	case len(s) > maxExpanded:
		return "", errLong
	default:
		return lower(source + ":" + target), nil
	}
}

// add is a keyword whose values accumulate, each of them once.
func add(limit int) setter {
	return func(o options, name string, l *line) error {
		arg, err := l.next()
		if err != nil || !l.active {
			return err
		}
		v := o[name]
		if len(v.words) == limit {
			return fmt.Errorf("more than %d files", limit)
		}
		if !slices.Contains(v.words, arg) {
			v.words = append(v.words, arg)
		}
		o[name] = v
		return nil
	}
}

// serviceClasses are the names of IPQoS in the order in which ssh looks for the
// name of a value.
var serviceClasses = []struct {
	name  string
	value int
}{
	{"none", -1},
	{"af11", 0x28}, {"af12", 0x30}, {"af13", 0x38}, {"af21", 0x48}, {"af22", 0x50}, {"af23", 0x58},
	{"af31", 0x68}, {"af32", 0x70}, {"af33", 0x78}, {"af41", 0x88}, {"af42", 0x90}, {"af43", 0x98},
	{"cs0", 0x00}, {"cs1", 0x20}, {"cs2", 0x40}, {"cs3", 0x60}, {"cs4", 0x80}, {"cs5", 0xa0}, {"cs6", 0xc0}, {"cs7", 0xe0},
	{"ef", 0xb8}, {"le", 0x04}, {"lowdelay", 0x10}, {"throughput", 0x08}, {"reliability", 0x04},
}

// parseQoS takes a service class by name or number, and returns its name as
// well, as ssh writes it.
func parseQoS(s string) (int, string, error) {
	value := -2
	for _, class := range serviceClasses {
		if strings.EqualFold(s, class.name) {
			value = class.value
		}
	}
	if value == -2 {
		n, err := strconv.ParseUint(strings.TrimLeft(s, blanks), 0, 8)
		if err != nil || strings.ContainsAny(s, "_oO") || strings.HasPrefix(strings.ToLower(s), "0b") {
			return 0, "", fmt.Errorf("bad service class %q: expected a name like af21 or a number up to 255", s)
		}
		value = int(n)
	}
	for _, class := range serviceClasses {
		if value == class.value {
			return value, class.name, nil
		}
	}
	return value, fmt.Sprintf("0x%02x", value), nil
}

// qos takes a service class for sessions with a terminal and one for the rest.
func qos(o options, name string, l *line) error {
	arg, err := l.next()
	if err != nil {
		return err
	}
	_, interactive, err := parseQoS(arg)
	if err != nil {
		return err
	}
	bulk := interactive
	if len(l.args) > 0 {
		_, bulk, err = parseQoS(l.args[0])
		l.args = l.args[1:]
	}
	if err == nil {
		o.put(name, l, interactive, bulk)
	}
	return err
}

// rekey takes an amount of data and a time; each is set by the first to say it.
func rekey(o options, name string, l *line) error {
	const least = 16
	arg, err := l.next()
	if err != nil {
		return err
	}
	var n int64
	if arg != "default" {
		n, err = parseSize(arg)
		if err == nil && n != 0 && n < least {
			err = fmt.Errorf("%q is too small: expected %d bytes or more", arg, least)
		}
		if err != nil {
			return err
		}
	}
	o.put("rekeylimit bytes", l, strconv.FormatInt(n, 10))
	o.put(name, l) // see resolved
	switch {
	case len(l.args) == 0:
		return nil
	case l.args[0] == "none":
		l.args = l.args[1:]
		return nil
	}
	return one(interval)(o, "rekeylimit time", l)
}

// parseSize takes a number of bytes as "4096", "1G" or "1.5g".
func parseSize(s string) (int64, error) {
	bad := fmt.Errorf("bad size %q: expected a number of bytes like 512M or 1G", s)
	number, unit := strings.ToUpper(strings.TrimLeft(s, blanks)), int64(1)
	if i := strings.IndexAny(number, "BKMGTPE"); i > 0 {
		if i+1 < len(number) {
			return 0, bad
		}
		unit = 1 << (10 * strings.IndexByte("BKMGTPE", number[i]))
		number = number[:i]
	}
	whole, fraction, _ := strings.Cut(number, ".")
	n, err := strconv.ParseInt(cmp.Or(whole, "0"), 10, 64)
	if err != nil || n > math.MaxInt64/unit || n < 0 || len(fraction) > 18 {
		return 0, bad
	}
	n *= unit
	if fraction != "" {
		f, err := strconv.ParseUint(fraction, 10, 63)
		if err != nil {
			return 0, bad
		}
		n += int64(float64(f) / math.Pow10(len(fraction)) * float64(unit))
	}
	return n, nil
}

// proxyJump keeps the list as it stands. A ProxyCommand before it wins.
func proxyJump(o options, name string, l *line) error {
	l.args = nil
	jumps, _, _ := strings.Cut(l.rest, "#")
	jumps = strings.TrimRight(strings.TrimLeft(jumps, blanks+"="), blanks)
	if isNone(jumps) {
		jumps = "none"
	} else {
		if strings.ContainsAny(jumps, blanks) {
			return fmt.Errorf("blanks in %q: expected [user@]host[:port], several with commas", jumps)
		}
		for hop := range strings.SplitSeq(jumps, ",") {
			t, err := parseHop(hop)
			if err == nil && l.number == 0 && (!validHost(t.host) || !validUser(t.user)) {
				err = errors.New("invalid characters") // in a file, that is for Jump to say
			}
			if err != nil {
				return fmt.Errorf("%q: %w", jumps, err)
			}
		}
	}
	if !o.has("proxycommand") {
		o.put(name, l, jumps)
	}
	return nil
}

// proxyCommand keeps the command as it stands. A ProxyJump before it wins, but
// for "none".
func proxyCommand(o options, name string, l *line) error {
	if !o.has("proxyjump") || o.said("proxyjump") == "none" {
		return command(o, name, l)
	}
	l.args = nil
	return nil
}
