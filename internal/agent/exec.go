package agent

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// output is how much of what a program in the guest writes is read, in bytes. All that
// is asked for is a few lines.
const output = 64 << 10

// errNoProgram: the guest does not have the program.
var errNoProgram = errors.New("no such program")

// exitError is how a program in the guest ended that did not succeed.
type exitError struct {
	program string
	status  int
	stderr  string // of the guest's making
}

func (e exitError) Error() string {
	return fmt.Sprintf("%s: exit status %d: %s", e.program, e.status, said(strings.TrimSpace(e.stderr)))
}

// run runs a program in the guest, without a shell, and returns what it writes to
// stdout. errNoProgram where there is none, else an error where it did not exit with 0.
func (g *Guest) run(program string, args ...string) (string, error) {
	var started struct{ PID *int64 }
	err := g.call("guest-exec", map[string]any{"path": program, "arg": slices.Concat([]string{}, args), "capture-output": true}, &started)
	switch {
	case err != nil && missing(err):
		return "", fmt.Errorf("%s: %w", program, errNoProgram)
	case err != nil:
		return "", err
	case started.PID == nil:
		return "", fmt.Errorf("%w: guest-exec without a pid", ErrNonsense)
	}
	var status struct {
		Exited   bool
		ExitCode int
		Signal   int
		Out      []byte `json:"out-data"` // base64, as encoding/json has it
		Err      []byte `json:"err-data"`
	}
	for wait := 20 * time.Millisecond; ; wait = min(2*wait, time.Second) {
		if err := g.call("guest-exec-status", map[string]any{"pid": *started.PID}, &status); err != nil {
			return "", err
		}
		if status.Exited {
			break
		}
		select {
		case <-time.After(wait):
		case <-g.ctx.Done():
			return "", fmt.Errorf("%s does not end in the guest: %w", program, ErrSlow)
		}
	}
	out := string(status.Out[:min(len(status.Out), output)])
	switch {
	case status.ExitCode == 127: // as a shell says it
		return out, fmt.Errorf("%s: exit status 127: %w", program, errNoProgram)
	case status.Signal != 0:
		return out, fmt.Errorf("%s: ended by signal %d", program, status.Signal)
	case status.ExitCode != 0:
		return out, exitError{program, status.ExitCode, string(status.Err[:min(len(status.Err), output)])}
	}
	return out, nil
}

// first runs the first of some programs that the guest has.
func (g *Guest) first(commands ...[]string) (out string, err error) {
	for _, c := range commands {
		if out, err = g.run(c[0], c[1:]...); !errors.Is(err, errNoProgram) {
			return out, err
		}
	}
	return out, err
}

// missing reports whether an agent's error says that there is no such program: GLib's
// words on Unix and on Windows, which are all that comes.
func missing(err error) bool {
	return strings.Contains(err.Error(), "Failed to execute") &&
		(strings.Contains(err.Error(), "No such file") || strings.Contains(err.Error(), "not found") || strings.Contains(err.Error(), "cannot find"))
}

// Blocked reports whether the agent refuses the command by its own configuration, as
// RHEL's does with those that read files and run programs.
func Blocked(err error) bool {
	return err != nil && strings.Contains(err.Error(), "has been disabled")
}

// file reads a small file of the guest: by the agent itself, or where that may not, by
// a program.
func (g *Guest) file(path string) (string, error) {
	text, err := g.open(path)
	if !Blocked(err) {
		return text, err
	}
	return g.run("cat", path)
}

func (g *Guest) open(path string) (string, error) {
	var handle int64
	if err := g.call("guest-file-open", map[string]any{"path": path, "mode": "r"}, &handle); err != nil {
		return "", err
	}
	var read struct {
		Data []byte `json:"buf-b64"`
	}
	err := g.call("guest-file-read", map[string]any{"handle": handle, "count": 4096}, &read)
	if closed := g.call("guest-file-close", map[string]any{"handle": handle}, nil); err == nil {
		err = closed
	}
	return string(read.Data[:min(len(read.Data), 4096)]), err
}
