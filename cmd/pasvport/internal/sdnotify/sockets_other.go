//go:build !linux

package sdnotify

// Listeners finds none where there is no systemd.
func Listeners() (Sockets, error) { return Sockets{}, nil }
