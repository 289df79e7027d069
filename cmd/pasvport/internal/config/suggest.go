package config

import (
	"fmt"
	"slices"
	"strings"
)

// sshWords are what ssh_config(5) calls settings that have another name here.
var sshWords = map[string]string{
	"hostname": "host", "user": "login", "identityfile": "identity", "proxyjump": "jump",
}

// suggestion is what may have been meant by an unknown key: another table's, or one of
// known that is near; "" if nothing is.
func suggestion(key string, known []string) string {
	for _, table := range tables {
		if _, ok := table.keys[key]; ok {
			return "; it belongs in " + table.title
		}
	}
	key = strings.ToLower(key)
	if own, ok := sshWords[key]; ok && slices.Contains(known, own) {
		return fmt.Sprintf("; did you mean %q?", own)
	}
	if nearest := Nearest(key, known); nearest != "" {
		return fmt.Sprintf("; did you mean %q?", nearest)
	}
	return ""
}

// Nearest is the one of known that word may be a misspelling of; "" if none is near.
func Nearest(word string, known []string) string {
	nearest, least := "", (len(word)+2)/3
	for _, k := range known {
		if d := distance(word, k); d <= least && (nearest == "" || d < least) {
			nearest, least = k, d
		}
	}
	return nearest
}

// distance is how many bytes must be put in, left out or changed to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1) // from a[:i] to each b[:j]
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			change := diagonal
			if a[i] != b[j] {
				change++
			}
			diagonal = row[j+1]
			row[j+1] = min(change, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
