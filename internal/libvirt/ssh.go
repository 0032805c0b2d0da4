package libvirt

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/oneline"
)

// sshArgs are ssh's arguments for a command there, which must have nothing in it that
// a shell understands. They are libvirt's (virNetSocketNewConnectSSH), but that it never
// asks for a password: whoever waits for an answer is not there to type one. What takes
// longer to connect than timeout ends with ssh's own status.
func (r *Remote) sshArgs(timeout time.Duration, command string) []string {
	seconds := max(1, (timeout+time.Second-1)/time.Second)
	args := []string{"-T", "-e", "none", "-o", "BatchMode=yes", "-o", fmt.Sprintf("ConnectTimeout=%d", seconds)}
	if r.port != "" {
		args = append(args, "-p", r.port)
	}
	if r.user != "" {
		args = append(args, "-l", r.user)
	}
	if r.keyfile != "" {
		args = append(args, "-i", r.keyfile)
	}
	if r.noVerify {
		args = append(args, "-o", "StrictHostKeyChecking=no")
	}
	return append(args, "--", r.Host, command)
}

// Statuses of ssh: its own failure, and a shell's there that knows no such command.
const (
	sshFailed = 255
	noCommand = 127
)

// exitError is how a command there ended.
type exitError struct {
	status int    // -1: not by itself
	said   string // on stderr, one line
}

func (e *exitError) Error() string {
	text := fmt.Sprintf("exit status %d", e.status)
	if e.status < 0 {
		text = "it was ended"
	}
	if e.said != "" {
		text += ": " + e.said
	}
	return text
}

func (e *exitError) Is(target error) bool {
	switch target {
	case ErrNoCommand:
		return e.status == noCommand
	case ErrUnreachable:
		return e.status == sshFailed
	}
	return false
}

// Run runs a command there and returns what it writes to stdout; that may come with an
// error. Both to get there and to answer may take as long as timeout. The command must
// have nothing in it that a shell understands.
//
// Errors: ErrUnreachable: nobody got as far as to run it; ErrNoCommand: it is not there;
// ErrTimeout; more than most bytes.
func (r *Remote) Run(ctx context.Context, timeout time.Duration, most int64, command string) ([]byte, error) {
	c, err := r.start(ctx, timeout, command)
	if err != nil {
		return nil, fmt.Errorf("ssh %s %s: %w", r.Host, command, remoteError{err})
	}
	late := make(chan struct{})
	timer := time.AfterFunc(2*timeout, func() { close(late); c.Close() })
	c.CloseWrite()
	out, _ := io.ReadAll(io.LimitReader(c, most+1)) // how the ssh ends says more than how its output does
	if int64(len(out)) > most {
		c.Close()
		out, err = nil, fmt.Errorf("it writes more than %d MiB", most>>20)
	} else {
		err = c.status()
	}
	timer.Stop()
	c.Close()
	select {
	case <-late:
		err = timeoutError{2 * timeout}
	default:
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	if err != nil {
		return out, fmt.Errorf("ssh %s %s: %w", r.Host, command, remoteError{err})
	}
	return out, nil
}

// child is an ssh whose stdin and stdout are a connection to a program elsewhere. It
// ends, and is reaped, with Close or the context at the latest.
type child struct {
	*net.UnixConn
	stop  context.CancelFunc
	said  bounded       // on stderr
	ended chan struct{} // closed once it is reaped
	err   error         // of it, then
	once  sync.Once
}

func (r *Remote) start(ctx context.Context, timeout time.Duration, command string) (*child, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	ctx, stop := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, "ssh", r.sshArgs(timeout, command)...)
	c := &child{UnixConn: ours, stop: stop, ended: make(chan struct{})}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = theirs, theirs, &c.said
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = time.Second // then it is killed; and whoever else holds its stderr is not waited for
	if err := cmd.Start(); err != nil {
		stop()
		ours.Close()
		return nil, err
	}
	go func() {
		c.err = cmd.Wait()
		stop()
		close(c.ended)
	}()
	return c, nil
}

func socketPair() (*net.UnixConn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "ssh")
	file := os.NewFile(uintptr(fds[0]), "ssh")
	defer file.Close() // FileConn has a copy
	conn, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make socket pair: %w", err)
	}
	return conn.(*net.UnixConn), theirs, nil
}

// Close ends the connection, upon which the ssh should end by itself, and else makes it.
// It waits until it is gone.
func (c *child) Close() (err error) {
	c.once.Do(func() {
		err = c.UnixConn.Close()
		time.AfterFunc(time.Second, c.stop)
	})
	<-c.ended
	return err
}

// status waits for the end of the ssh, whose output has ended, and returns how it was;
// nil: well.
func (c *child) status() error {
	<-c.ended
	var exit *exec.ExitError
	switch {
	case c.err == nil, errors.Is(c.err, exec.ErrWaitDelay): // who else holds its stderr is no matter
		return nil
	case errors.As(c.err, &exit):
		return &exitError{exit.ExitCode(), c.said.line()}
	}
	return c.err
}

// explain puts how the ssh ended in the place of a connection that is just lost.
func (c *child) explain(err error) error {
	var exit *exitError
	if errors.Is(err, ErrLost) && errors.As(c.status(), &exit) && exit.status >= 0 {
		return exit
	}
	return err
}

// bounded keeps the beginning of what is written to it.
type bounded struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

// maxSaid bounds what is kept of stderr, in bytes.
const maxSaid = 2000

func (b *bounded) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.Write(p[:min(len(p), maxSaid-b.buf.Len())])
	return len(p), nil
}

// line is what was written, on one line.
func (b *bounded) line() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	text := strings.Join(strings.FieldsFunc(b.buf.String(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
	return oneline.Text(strings.TrimSpace(text), maxSaid)
}
