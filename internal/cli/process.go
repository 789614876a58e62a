package cli

import (
	"fmt"
	"os"
	"slices"

	"github.com/sallyport/sallyport/internal/app"
)

// Process does what concerns the process as a whole, before any command: it
// keeps secrets out of core dumps. It is done when the process is no command
// line at all but a worker that a server started.
func Process(args []string) (code int, done bool) {
	app.Harden()
	if len(args) != 1 || !slices.Contains([]string{app.HashWorker, app.LeftoverHashWorker}, args[0]) {
		return 0, false
	}
	if err := app.RunHashWorker(args[0], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "sallyport: hashing passwords:", err)
		return exitFailed, true
	}
	return exitOK, true
}
