package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"virt-mtu/internal/check"
	"virt-mtu/internal/oneline"
)

// ErrNoDot is SVG's where Graphviz is missing.
var ErrNoDot = errors.New("dot, a program of Graphviz, is not in PATH")

// maxDraw bounds the time for a picture: a large graph may take dot for ever.
const maxDraw = 60 * time.Second

// SVG draws a report by way of Graphviz's dot. Nothing is written unless all went
// well. Errors: ErrNoDot; Hint says what to do.
func SVG(ctx context.Context, w io.Writer, r *check.Report) error {
	dot, err := exec.LookPath("dot")
	if err != nil {
		return fmt.Errorf("draw picture: %w", ErrNoDot)
	}
	ctx, cancel := context.WithTimeout(ctx, maxDraw)
	defer cancel()
	var in, out, messages bytes.Buffer
	if err := DOT(&in, r); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, dot, "-Tsvg")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = &in, &out, &messages
	// A dot that is a script, or has plugins, ends with all that it has started.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	cmd.WaitDelay = time.Second
	err = cmd.Run()
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("draw picture: dot has not come to an end: %w", ctx.Err())
	case ctx.Err() != nil:
		return fmt.Errorf("draw picture: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("draw picture: dot: %w: %s", err, oneline.Text(strings.TrimSpace(messages.String()), maxText))
	}
	_, err = w.Write(out.Bytes())
	return err
}

// Hint says what to do about an error of SVG; empty: nothing that is known here.
func Hint(err error) string {
	switch {
	case errors.Is(err, ErrNoDot):
		return "apt install graphviz, or dnf install graphviz; or -o dot, and draw it elsewhere"
	case errors.Is(err, context.DeadlineExceeded):
		return "draw fewer domains, or -o dot"
	}
	return ""
}
