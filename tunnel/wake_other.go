//go:build !linux

package tunnel

import "context"

// watchNetwork does nothing: only Linux is asked.
func watchNetwork(context.Context, func()) error { return nil }
