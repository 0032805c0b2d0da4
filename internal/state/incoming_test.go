package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestIncoming(t *testing.T) {
	d := open(t)
	const guest = `"web1" "52:54:00:00:00:01"`
	want := func(want bool) {
		t.Helper()
		if _, got := d.Incoming(uuidA, guest); got != want {
			t.Errorf("incoming: %v", got)
		}
	}
	want(false)
	must(t, d.MarkIncoming(uuidB, guest))
	want(false)
	must(t, d.MarkIncoming(uuidA, guest))
	want(true)
	want(true) // asking does not use it up
	for _, other := range []string{"", `"web1"`, guest + " ", guest + "\n", strings.Replace(guest, "web1", "web2", 1)} {
		if _, ok := d.Incoming(uuidA, other); ok {
			t.Errorf("%q takes the mark of %q", other, guest)
		}
		must(t, d.MarkIncoming(uuidA, other))
		want(false)
		must(t, d.MarkIncoming(uuidA, guest))
	}
	want(true)
	must(t, d.ClearIncoming(uuidA))
	want(false)
	must(t, d.ClearIncoming(uuidA))

	mark := filepath.Join(d.incoming.path, uuidA)
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{
		{9 * time.Minute, true},
		{11 * time.Minute, false},
		{-9 * time.Minute, true}, // the clock was set back
		{-11 * time.Minute, false},
		{-290 * 365 * 24 * time.Hour, false},
	} {
		must(t, d.MarkIncoming(uuidA, guest))
		age(t, mark, tt.age)
		want(tt.want)
		if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) == tt.want {
			t.Errorf("age %v: the mark: %v", tt.age, err)
		}
		must(t, d.MarkIncoming(uuidA, guest))
		age(t, mark, tt.age)
		must(t, d.MarkIncoming(uuidB, guest)) // sweeps
		if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) == tt.want {
			t.Errorf("age %v, swept: the mark: %v", tt.age, err)
		}
		must(t, d.MarkIncoming(uuidA, guest)) // makes it new, whatever was there
		want(true)
		must(t, d.ClearIncoming(uuidA))
	}
}

// What lies there and is no mark is none, and holds nobody up.
func TestIncomingIsAFile(t *testing.T) {
	d := open(t)
	path := filepath.Join(d.incoming.path, uuidA)
	for what, make := range map[string]func() error{
		"a link":   func() error { must(t, d.MarkIncoming(uuidB, "")); return os.Symlink(uuidB, path) },
		"a FIFO":   func() error { return syscall.Mkfifo(path, 0o600) },
		"a folder": func() error { return os.Mkdir(path, 0o700) },
	} {
		must(t, make())
		if _, ok := d.Incoming(uuidA, ""); ok {
			t.Errorf("%s is a mark", what)
		}
		must(t, os.Remove(path))
	}
}
