package state

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestIncoming(t *testing.T) {
	d := open(t)
	want := func(want bool) {
		t.Helper()
		if got := d.Incoming(uuidA); got != want {
			t.Errorf("incoming: %v", got)
		}
	}
	want(false)
	must(t, d.MarkIncoming(uuidB))
	want(false)
	must(t, d.MarkIncoming(uuidA))
	want(true)
	want(true) // asking does not use it up
	must(t, d.ClearIncoming(uuidA))
	want(false)
	must(t, d.ClearIncoming(uuidA))

	mark := filepath.Join(d.incoming.path, uuidA)
	for _, tt := range []struct {
		age  time.Duration
		want bool
	}{
		{23 * time.Hour, true},
		{25 * time.Hour, false},
		{-23 * time.Hour, true}, // the clock was set back
		{-25 * time.Hour, false},
		{-290 * 365 * 24 * time.Hour, false},
	} {
		must(t, d.MarkIncoming(uuidA))
		age(t, mark, tt.age)
		want(tt.want)
		if _, err := os.Stat(mark); errors.Is(err, os.ErrNotExist) == tt.want {
			t.Errorf("age %v: the mark: %v", tt.age, err)
		}
		must(t, d.MarkIncoming(uuidA)) // makes it new, whatever was there
		want(true)
		must(t, d.ClearIncoming(uuidA))
	}
}
