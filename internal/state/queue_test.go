package state

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

// queued is what Queued lists, as "UUID: note".
func queued(t *testing.T, d *Dir) []string {
	t.Helper()
	requests, err := d.Queued()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, r := range requests {
		list = append(list, r.UUID+": "+r.Note)
	}
	return list
}

func wantQueued(t *testing.T, d *Dir, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, queued(t, d)); diff != "" {
		t.Errorf("queued (-want +got):\n%s", diff)
	}
}

// age moves a file's time back.
func age(t *testing.T, path string, by time.Duration) {
	t.Helper()
	then := time.Now().Add(-by)
	if err := os.Chtimes(path, then, then); err != nil {
		t.Fatal(err)
	}
}

func TestQueue(t *testing.T) {
	d := open(t)
	wantQueued(t, d)
	must(t, d.Queue(uuidB, "first"))
	age(t, filepath.Join(d.queue.path, uuidB), time.Minute)
	must(t, d.Queue(uuidA, "second"))
	must(t, os.WriteFile(filepath.Join(d.queue.path, "README"), nil, 0o600))
	wantQueued(t, d, uuidB+": first", uuidA+": second")

	must(t, d.Queue(uuidB, "again")) // the later note, and the later time
	age(t, filepath.Join(d.queue.path, uuidA), time.Second)
	wantQueued(t, d, uuidA+": second", uuidB+": again")

	must(t, d.Claim(uuidA))
	must(t, d.Done(uuidA))
	must(t, d.Done(uuidA)) // twice does no harm
	wantQueued(t, d, uuidB+": again")
	if err := d.Claim(uuidA); !errors.Is(err, ErrNotQueued) {
		t.Errorf("claim of nothing: %v", err)
	}
}

// What is asked for while the work is under way is work of its own.
func TestQueueWhileClaimed(t *testing.T) {
	d := open(t)
	must(t, d.Queue(uuidA, "one"))
	must(t, d.Claim(uuidA))
	must(t, d.Queue(uuidA, "two"))
	must(t, d.Done(uuidA))
	wantQueued(t, d, uuidA+": two")
}

// A run that failed or crashed after its claim leaves the request, for itself and
// for whoever comes later.
func TestClaimAgain(t *testing.T) {
	d := open(t)
	must(t, d.Queue(uuidA, "one"))
	must(t, d.Claim(uuidA))
	d.Close()

	d, err := Open(d.base.path)
	must(t, err)
	defer d.Close()
	wantQueued(t, d, uuidA+": one")
	must(t, d.Claim(uuidA)) // what the crash left
	wantQueued(t, d, uuidA+": one")

	age(t, filepath.Join(d.queue.path, uuidA+claimed), time.Second)
	must(t, d.Queue(uuidA, "two"))
	wantQueued(t, d, uuidA+": two") // once
	must(t, d.Claim(uuidA))         // both
	must(t, d.Done(uuidA))
	wantQueued(t, d)
}

// Every request is seen by a run that claims after it. Each queuer asks again as
// soon as it was seen, which is while that run is at work.
func TestConcurrentQueueing(t *testing.T) {
	d := open(t)
	const queuers, each = 2, 100
	var asked, seen atomic.Int64
	var all sync.WaitGroup
	for range queuers {
		all.Add(1)
		go func() {
			defer all.Done()
			for range each {
				mine := asked.Add(1)
				if err := d.Queue(uuidA, fmt.Sprint(mine)); err != nil {
					t.Error(err)
				}
				for end := time.Now().Add(5 * time.Second); seen.Load() < mine; runtime.Gosched() {
					if time.Now().After(end) {
						t.Errorf("request %d is lost", mine)
						return
					}
				}
			}
		}()
	}
	finished := make(chan struct{})
	go func() { all.Wait(); close(finished) }()
	for {
		select {
		case <-finished:
			return
		default:
		}
		requests, err := d.Queued()
		must(t, err)
		if len(requests) > 0 {
			must(t, d.Claim(uuidA))
			seen.Store(asked.Load())
			runtime.Gosched() // the work
			must(t, d.Done(uuidA))
		}
	}
}

func TestNotes(t *testing.T) {
	d := open(t)
	for note, want := range map[string]string{
		"":                           "",
		"  one\ntwo\r\x1b[31m \n":    "one?two??[31m",
		"right \u202eleft\u0085 end": "right ?left? end",
		"bytes \xff\xfe":             "bytes \ufffd\ufffd",
	} {
		must(t, d.Queue(uuidA, note))
		wantQueued(t, d, uuidA+": "+want)
	}
	must(t, d.Queue(uuidA, strings.Repeat("é", 2*maxNote)))
	r, err := d.Queued()
	must(t, err)
	if n := r[0].Note; len(n) > maxNote+len("...") || len(n) < maxNote-4 || !utf8.ValidString(n) {
		t.Errorf("%d bytes: %q", len(n), n)
	}
}
