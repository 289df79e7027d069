package sshconf

import "strings"

// match holds s against one pattern: * is any number of characters, ? is one.
// It takes at most len(s) times len(pattern) steps.
func match(s, pattern string) bool {
	i, j := 0, 0
	star, from := -1, 0 // the last * and where it left off in s
	for i < len(s) {
		switch {
		case j < len(pattern) && pattern[j] == '*':
			star, from = j, i
			j++
		case j < len(pattern) && (pattern[j] == '?' || pattern[j] == s[i]):
			i, j = i+1, j+1
		case star >= 0: // let the * take one more
			from++
			i, j = from, star+1
		default:
			return false
		}
	}
	return strings.Trim(pattern[j:], "*") == ""
}

// MatchList holds s against a list of patterns with commas, as ssh_config(5) has
// them: one has to match and none that begins with "!" may. Case counts.
func MatchList(s, list string) bool {
	matched := false
	for pattern := range strings.SplitSeq(list, ",") {
		pattern, negated := strings.CutPrefix(pattern, "!")
		if match(s, pattern) {
			if negated {
				return false
			}
			matched = true
		}
	}
	return matched
}
