package state

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"
)

// staleAfter is how long a guest may take to come in. A mark outlives that only
// where its migration failed without a word.
const staleAfter = 24 * time.Hour

// MarkIncoming notes that the domain is coming in by migrate or restore.
func (d *Dir) MarkIncoming(uuid string) error {
	err := checkUUID(uuid)
	if err == nil {
		err = d.incoming.put(uuid, "")
	}
	if err != nil {
		return fmt.Errorf("mark domain as incoming: %w", err)
	}
	return nil
}

// Incoming reports whether the domain is marked as coming in, within the last day. A
// mark from a day ahead (the clock was set) is as stale as one from a day ago; a
// stale one is removed.
func (d *Dir) Incoming(uuid string) bool {
	var st unix.Stat_t
	if checkUUID(uuid) != nil || unix.Fstatat(d.incoming.fd, uuid, &st, unix.AT_SYMLINK_NOFOLLOW) != nil {
		return false
	}
	if time.Since(time.Unix(st.Mtim.Unix())).Abs() > staleAfter {
		d.incoming.remove(uuid)
		return false
	}
	return true
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
