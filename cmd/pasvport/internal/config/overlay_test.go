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

// TestOverlaySharesNothing looks that flags do not reach into what a file says.
func TestOverlaySharesNothing(t *testing.T) {
	long, short := Duration(time.Minute), Duration(time.Second)
	file := Tunnel{Host: "prod", Grace: &long}
	got := file
	if err := got.Overlay(Tunnel{Grace: &short}); err != nil {
		t.Fatal(err)
	}
	if *got.Grace != Duration(time.Second) || *file.Grace != Duration(time.Minute) {
		t.Errorf("got %v, and the file's became %v", time.Duration(*got.Grace), time.Duration(*file.Grace))
	}
}
