package hook

import (
	"bytes"
	"errors"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Whose exit status 1 libvirt takes for "refused". At the others it would stop or
// kill a guest that runs, and on those of migrate and restore it reads stdout.
func TestOperationsKeepTheProtocol(t *testing.T) {
	for name, op := range operations {
		if (op.refuse || op.arrive) && !slices.Contains([]string{"prepare", "start", "migrate"}, name) {
			t.Errorf("%s may refuse", name)
		}
		if op.queue && !op.refuse {
			t.Errorf("%s queues, which may refuse", name)
		}
		if op.rewrite && name != "prepare" {
			t.Errorf("%s prints", name)
		}
		if op.arrive && (op.refuse || op.pin || op.taps || op.queue || op.rewrite) {
			t.Errorf("%s judges an arrival, and nothing else is done then", name)
		}
	}
}

type reader func([]byte) (int, error)

func (r reader) Read(p []byte) (int, error) { return r(p) }

// What goes wrong in here, as badly as it may, is one line in the log and no order
// to libvirt.
func TestGuarded(t *testing.T) {
	for name, tt := range map[string]struct {
		read reader
		says string
	}{
		"panic":            {func([]byte) (int, error) { panic("at the\ndisco") }, "panic: at the?disco"},
		"nil":              {nil, "panic: runtime error: invalid memory address"},
		"index":            {func(p []byte) (int, error) { return int(p[:0][len(p)]), nil }, "panic: runtime error: index out of range"},
		"a lying reader":   {func(p []byte) (int, error) { return len(p) + 1, nil }, "panic: "},
		"an error":         {func([]byte) (int, error) { return 0, errors.New("broken") }, "nothing done: read domain XML: broken"},
		"an error, midway": {func(p []byte) (int, error) { return copy(p, "<domain>"), io.ErrUnexpectedEOF }, "nothing done: read domain XML: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			for op := range operations {
				var stdout, stderr bytes.Buffer
				log, lines := newLog(t)
				c := &call{op: operations[op], name: op, guest: "web1", stdout: &stdout, stderr: &stderr, log: log}
				if status := c.guarded(tt.read); status != 0 || stdout.Len() > 0 || stderr.Len() > 0 {
					t.Errorf("%s: exit %d, stdout %q, stderr %q", op, status, &stdout, &stderr)
				}
				if got := lines(); len(got) != 1 || !strings.Contains(got[0], `: domain "web1": `+op+": "+tt.says) {
					t.Errorf("%s: log %q, want %q", op, got, tt.says)
				}
			}
		})
	}
}

// Nobody waits for a log that takes nothing, and nothing else is lost by it.
func TestJournalDoesNotBlock(t *testing.T) {
	log, lines := newLog(t)
	done := make(chan bool)
	go func() {
		for range 10_000 {
			log.write(priInfo, strings.Repeat("x", maxLine))
		}
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(time.Minute): // a busy machine takes seconds for so many
		t.Fatal("it waits")
	}
	if got := len(lines()); got == 0 || got == 10_000 {
		t.Errorf("%d lines came through: the test did not fill it", got)
	}
}

// newLog returns a journal whose other end the test reads.
func newLog(t *testing.T) (j journal, lines func() []string) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(os.NewSyscallError("socketpair", err))
	}
	t.Cleanup(func() { unix.Close(fds[0]); unix.Close(fds[1]) })
	return journal{fd: fds[0], opened: true}, func() []string {
		var got []string
		for buf := make([]byte, 1<<16); ; {
			n, _, err := unix.Recvfrom(fds[1], buf, unix.MSG_DONTWAIT)
			if err != nil {
				return got
			}
			got = append(got, string(buf[:n]))
		}
	}
}
