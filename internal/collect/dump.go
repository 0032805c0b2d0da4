package collect

import (
	"errors"
	"fmt"
	"time"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// Tries at a dump, with a pause before the second that doubles for each one more: what
// makes and deletes a guest's or a container's links has time to end. All pauses
// together are 0.63 s.
const (
	tries      = 7
	firstPause = 10 * time.Millisecond
)

// dump runs a netlink dump; all dumps go through it. The kernel marks one during
// which the table changed (NLM_F_DUMP_INTR): entries may be missing or stand twice.
// Such a dump is tried again, and after the last try taken for what it is, with an
// error beside it.
func dump(run func() ([][]byte, error)) ([][]byte, error) {
	return dumpPausing(run, time.Sleep)
}

func dumpPausing(run func() ([][]byte, error), pause func(time.Duration)) ([][]byte, error) {
	var last [][]byte
	var err error
	for i := range tries {
		if i > 0 {
			pause(firstPause << (i - 1))
		}
		var answers [][]byte
		answers, err = run()
		switch {
		case err == nil:
			return answers, nil
		case errors.Is(err, nl.ErrDumpInterrupted):
			last = answers
		case !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR):
			return nil, err
		}
	}
	return last, fmt.Errorf("incomplete after %d tries: %w", tries, err)
}
