// Command pasvport lets plain FTP clients talk to an FTP server through SSH.
// README tells how; "pasvport --help" lists what it takes.
//
// It ends with 0 when all went well, a stop by a signal included, 1 when something
// other than SSH failed, 2 for a command line or configuration that makes no sense,
// and 255 when SSH failed, as ssh does, or a signal came before the tunnel was up;
// "pasvport exec" ends with its command's own code, or 127 if there is none such.
package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"runtime"
)

func main() {
	ballast := make([]byte, ballastSize)
	code := run(os.Args[1:], os.Stdout, os.Stderr)
	runtime.KeepAlive(ballast)
	os.Exit(code)
}

// ballastSize is what the collector takes for memory in use. It is never touched and so
// takes none, but has a transfer collected every 16 MiB of packets and not every 4: that
// spares a tenth of the processor's time.
const ballastSize = 16 << 20

// run is the whole program; it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	root := newRootCmd()
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(context.Background())
	if err == nil {
		return 0
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(stderr, "pasvport: error: %s\n", text)
		for _, hint := range hints(err) {
			fmt.Fprintf(stderr, "pasvport: hint: %s\n", hint)
		}
	}
	return exitCode(err)
}
