package collect

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// tries at a dump. Links come and go while a host with thousands is read.
const tries = 5

// dump runs a netlink dump; all dumps go through it. The kernel marks one during
// which the table changed (NLM_F_DUMP_INTR): entries may be missing or stand twice.
// Such a dump is tried again, and after the last try taken for what it is, with an
// error beside it.
func dump(run func() ([][]byte, error)) ([][]byte, error) {
	var last [][]byte
	var err error
	for range tries {
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
