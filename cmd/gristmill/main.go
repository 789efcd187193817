// Command gristmill turns signed device data into proofs that a chain checks.
//
// Its commands only read flags, call package node (or client, audit, plugins)
// and print: there is no logic here.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	gnarklog "github.com/consensys/gnark/logger"

	"github.com/gristmill-zk/gristmill/plugins/sandbox"
)

func main() {
	sandbox.Main()     // returns, unless this is the shim that a plugin starts in
	gnarklog.Disable() // it writes to standard output, which is ours
	ctx, stop := interruptible()
	err := newRoot(os.Stdin, os.Stdout, os.Stderr).ExecuteContext(ctx)
	stop()
	os.Exit(exitCode(os.Stderr, err))
}

// exitError is an error that ends the process with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// exitCode prints what went wrong and says how the process ends: 0 done, 1
// failed, 130 interrupted by the user, or what the command says.
func exitCode(stderr io.Writer, err error) int {
	var own *exitError
	switch {
	case err == nil:
		return 0
	case errors.Is(err, context.Canceled) && errors.Is(err, errInterrupted):
		return 130
	}
	fmt.Fprintln(stderr, "gristmill: "+plain(err))
	if errors.As(err, &own) {
		return own.code
	}
	return 1
}

var errInterrupted = errors.New("interrupted")

// interruptible gives a context that the first SIGINT or SIGTERM cancels, so
// that everything drains; the second ends the process at once.
func interruptible() (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; !ok {
			return
		}
		fmt.Fprintln(os.Stderr, "stopping: finishing what is under way (once more to abort)")
		cancel(errInterrupted)
		if _, ok := <-signals; ok {
			os.Exit(130)
		}
	}()
	return ctx, func() { signal.Stop(signals); close(signals); cancel(context.Canceled) }
}
