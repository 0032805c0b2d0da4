package state

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

const lockRetry = 50 * time.Millisecond

// Lock waits until no other holds the lock under which definitions are changed, or
// ctx is done. The lock goes with its process. It is not for the hook.
func (d *Dir) Lock(ctx context.Context) (unlock func(), err error) {
	path := d.base.path + "/lock"
	fd, err := unix.Openat(d.base.fd, "lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	retry := time.NewTicker(lockRetry)
	defer retry.Stop()
	for {
		err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB)
		if err == nil {
			return func() { unix.Close(fd) }, nil
		}
		if err != unix.EWOULDBLOCK && err != unix.EINTR {
			unix.Close(fd)
			return nil, &os.PathError{Op: "lock", Path: path, Err: err}
		}
		select {
		case <-ctx.Done():
			unix.Close(fd)
			return nil, fmt.Errorf("lock %s, another virt-mtu is at work: %w", path, ctx.Err())
		case <-retry.C:
		}
	}
}

// ErrRuns is Alone's where another daemon runs.
var ErrRuns = errors.New("another virt-mtu watch runs on this host")

// Alone takes the lock of the one daemon that may run, or fails at once. The lock goes
// with its process.
func (d *Dir) Alone() (unlock func(), err error) {
	path := d.base.path + "/watch.lock"
	fd, err := unix.Openat(d.base.fd, "watch.lock", unix.O_RDWR|unix.O_CREAT|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := unix.Flock(fd, unix.LOCK_EX|unix.LOCK_NB); err != nil {
		unix.Close(fd)
		if err == unix.EWOULDBLOCK {
			return nil, fmt.Errorf("lock %s: %w", path, ErrRuns)
		}
		return nil, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return func() { unix.Close(fd) }, nil
}
