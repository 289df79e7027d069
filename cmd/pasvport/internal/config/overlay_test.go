package config

import (
	"reflect"
	"testing"
	"time"
)

// TestOverlay looks that flags win over what a file says, one by one.
func TestOverlay(t *testing.T) {
	grace := Duration(time.Minute)
	file := Tunnel{Host: "prod", Listen: []string{"2121", "2122"}, Data: "passive", IPv4: true, Autostart: true}
	before := file
	got := file
	if err := got.Overlay(Tunnel{Listen: []string{"0"}, Grace: &grace, Verbose: 2}); err != nil {
		t.Fatal(err)
	}
	want := Tunnel{Host: "prod", Listen: []string{"0"}, Data: "passive", IPv4: true, Autostart: true, Grace: &grace, Verbose: 2}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !reflect.DeepEqual(file, before) {
		t.Errorf("the file's became %+v", file)
	}
	if err := got.Overlay(Tunnel{}); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("nothing changed it to %+v, %v", got, err)
	}
}
