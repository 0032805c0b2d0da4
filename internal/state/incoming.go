package state

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// staleAfter is how long a mark counts. libvirt goes from its migrate or restore hook
// straight to prepare and start; a mark outlives that only where it gave up in between,
// which no hook is told.
const staleAfter = 10 * time.Minute

// MarkIncoming notes that a guest is coming in by migrate or restore: the domain, and
// what else has to be the same for a start to be the guest's. Stale marks are removed.
func (d *Dir) MarkIncoming(uuid, guest string) error {
	err := checkUUID(uuid)
	if err == nil {
		d.sweepIncoming()
		err = d.incoming.put(uuid, guest)
	}
	if err != nil {
		return fmt.Errorf("mark domain as incoming: %w", err)
	}
	return nil
}

// sweepIncoming removes the marks of guests that nobody asks for any more.
func (d *Dir) sweepIncoming() {
	fd, err := unix.Openat(d.incoming.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return
	}
	dir := os.NewFile(uintptr(fd), d.incoming.path)
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		var st unix.Stat_t
		if unix.Fstatat(d.incoming.fd, name, &st, unix.AT_SYMLINK_NOFOLLOW) == nil && stale(time.Unix(st.Mtim.Unix())) {
			d.incoming.remove(name)
		}
	}
}

// stale: also from ahead, where the clock was set.
func stale(since time.Time) bool { return time.Since(since).Abs() > staleAfter }

// Incoming reports whether that very guest is marked as coming in, and since when. A
// stale mark is removed.
func (d *Dir) Incoming(uuid, guest string) (since time.Time, ok bool) {
	if checkUUID(uuid) != nil {
		return since, false
	}
	// O_NONBLOCK: a FIFO in its place must not hold a guest up.
	fd, err := unix.Openat(d.incoming.fd, uuid, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return since, false
	}
	file := os.NewFile(uintptr(fd), d.incoming.path+"/"+uuid)
	defer file.Close()
	info, err := file.Stat()
	if err != nil || !info.Mode().IsRegular() {
		return since, false
	}
	if since = info.ModTime(); stale(since) {
		d.incoming.remove(uuid)
		return since, false
	}
	mark, err := io.ReadAll(io.LimitReader(file, int64(len(guest))+2))
	return since, err == nil && string(bytes.TrimSuffix(mark, []byte("\n"))) == guest
}

// ClearIncoming forgets the mark, if there is one.
func (d *Dir) ClearIncoming(uuid string) error {
	err := checkUUID(uuid)
	if err == nil {
		err = d.incoming.remove(uuid)
	}
	if err != nil {
		return fmt.Errorf("forget that domain is incoming: %w", err)
	}
	return nil
}
