package state

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/oneline"
)

// claimed ends the name of a request that somebody has taken up.
const claimed = ".claimed"

// maxNote bounds a note, in bytes. Notes quote domain XML.
const maxNote = 500

// ErrNotQueued is Claim's where nothing is queued.
var ErrNotQueued = errors.New("it is not queued")

// Request is a domain that waits for fix.
type Request struct {
	UUID  string
	Note  string    // why, for people: one line, or empty
	Since time.Time // when it was last asked for
}

// Queue asks for a fix of the domain. Asked for twice it is done once, with the
// later note.
func (d *Dir) Queue(uuid, note string) error {
	err := checkUUID(uuid)
	if err == nil {
		err = d.queue.put(uuid, oneline.Text(strings.TrimSpace(note), maxNote))
	}
	if err != nil {
		return fmt.Errorf("queue domain: %w", err)
	}
	return nil
}

// Queued returns what waits, the oldest first: what was queued, and what was
// claimed and not done, as a crash leaves it. Each domain is there once.
func (d *Dir) Queued() ([]Request, error) {
	names, err := d.queue.names()
	if err != nil {
		return nil, fmt.Errorf("list queue: %w", err)
	}
	byUUID := map[string]Request{}
	for _, name := range names {
		uuid := strings.TrimSuffix(name, claimed)
		if checkUUID(uuid) != nil {
			continue
		}
		r, err := d.queue.request(name)
		if errors.Is(err, os.ErrNotExist) {
			continue // claimed or done since
		}
		if err != nil {
			return nil, fmt.Errorf("list queue: %w", err)
		}
		r.UUID = uuid
		if other, ok := byUUID[uuid]; !ok || other.Since.Before(r.Since) {
			byUUID[uuid] = r
		}
	}
	var requests []Request
	for _, r := range byUUID {
		requests = append(requests, r)
	}
	slices.SortFunc(requests, func(a, b Request) int {
		return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.UUID, b.UUID))
	})
	return requests, nil
}

// Claim takes a request up, before anything is read for it: from here on, Queue
// makes a request of its own, which Done leaves. A claim that failed needs nothing:
// until Done it is among Queued, and may be claimed again.
//
// Claims are for the holder of Lock. ErrNotQueued: there is nothing to claim.
func (d *Dir) Claim(uuid string) error {
	err := checkUUID(uuid)
	if err == nil {
		err = unix.Renameat(d.queue.fd, uuid, d.queue.fd, uuid+claimed)
	}
	if err == unix.ENOENT { // claimed before, and not done
		if err = unix.Faccessat(d.queue.fd, uuid+claimed, unix.F_OK, 0); err == unix.ENOENT {
			err = ErrNotQueued
		}
	}
	if err != nil {
		return fmt.Errorf("claim domain %.40q: %w", uuid, err)
	}
	return nil
}

// Done takes what was claimed out of the queue.
func (d *Dir) Done(uuid string) error {
	err := checkUUID(uuid)
	if err == nil {
		err = d.queue.remove(uuid + claimed)
	}
	if err != nil {
		return fmt.Errorf("take domain out of the queue: %w", err)
	}
	return nil
}

func (f folder) names() ([]string, error) {
	// Opened anew: the position of a directory belongs to whoever opened it.
	fd, err := unix.Openat(f.fd, ".", unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &os.PathError{Op: "open", Path: f.path, Err: err}
	}
	dir := os.NewFile(uintptr(fd), f.path)
	defer dir.Close()
	return dir.Readdirnames(-1)
}

func (f folder) request(name string) (Request, error) {
	fd, err := unix.Openat(f.fd, name, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err != nil {
		return Request{}, &os.PathError{Op: "open", Path: f.path + "/" + name, Err: err}
	}
	file := os.NewFile(uintptr(fd), f.path+"/"+name)
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return Request{}, err
	}
	note, err := io.ReadAll(io.LimitReader(file, maxNote+10))
	if err != nil {
		return Request{}, err
	}
	return Request{Note: oneline.Text(strings.TrimSpace(string(note)), maxNote), Since: info.ModTime()}, nil
}
