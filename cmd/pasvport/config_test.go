package main

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"

	"github.com/pasvport/pasvport/cmd/pasvport/internal/config"
)

// TestFlagsAreKeys looks that each flag that says something about a tunnel has its key
// in config.toml, and each key its flag.
func TestFlagsAreKeys(t *testing.T) {
	var flags []string
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(options).addTo(set)
	set.VisitAll(func(f *pflag.Flag) {
		meant := !slices.Contains(habits, f.Name)
		for _, r := range refused {
			meant = meant && r.name != f.Name
		}
		if meant {
			flags = append(flags, strings.ReplaceAll(f.Name, "-", "_"))
		}
	})
	var keys []string
	fields := reflect.TypeFor[config.Tunnel]()
	for i := range fields.NumField() {
		key, _, _ := strings.Cut(fields.Field(i).Tag.Get("toml"), ",")
		if inJSON, _, _ := strings.Cut(fields.Field(i).Tag.Get("json"), ","); inJSON != key {
			t.Errorf("%s is %s in JSON", key, inJSON)
		}
		if !slices.Contains([]string{"host", "server", "autostart"}, key) { // these have no flag
			keys = append(keys, key)
		}
	}
	slices.Sort(flags)
	slices.Sort(keys)
	if !slices.Equal(flags, keys) {
		t.Errorf("the flags are %q,\nthe keys are %q", flags, keys)
	}
}

// TestFlagOf looks that errors name flags that there are.
func TestFlagOf(t *testing.T) {
	set := pflag.NewFlagSet("", pflag.ContinueOnError)
	new(options).addTo(set)
	set.VisitAll(func(f *pflag.Flag) {
		if len(f.Name) == 1 {
			return
		}
		if got := flagOf(config.Key(strings.ReplaceAll(f.Name, "-", "_"))); got != "--"+f.Name && got != "-"+f.Shorthand {
			t.Errorf("%s: got %s", f.Name, got)
		}
	})
}
