package main

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// interruptible returns a context that ends when somebody wants the command to; not at
// a signal that it was started to ignore, as nohup does.
func interruptible(c *cobra.Command) (context.Context, context.CancelFunc) {
	signals := []os.Signal{os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	return signal.NotifyContext(c.Context(), slices.DeleteFunc(signals, signal.Ignored)...)
}

var errInterrupted = errors.New("interrupted")

// until waits for work, but not when it is interrupted: then it has a moment to end what
// it has started. Not all of it can be stopped, such as to read a file that has no end.
func until(ctx context.Context, work func() error) error {
	done := make(chan error, 1)
	go func() { done <- work() }()
	select {
	case err := <-done:
		if ctx.Err() == nil {
			return err
		}
	case <-ctx.Done():
		select {
		case <-done:
		case <-time.After(time.Second):
		}
	}
	return errInterrupted
}
