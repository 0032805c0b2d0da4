package state

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// DefaultBase is where a host's state lies. The next boot starts without it.
const DefaultBase = "/run/virt-mtu"

// Dir is the state under one base folder. It may be used by many processes and
// goroutines at the same time.
type Dir struct {
	base     folder
	queue    folder
	incoming folder
}

// folder is an open directory and its path, for messages.
type folder struct {
	fd   int
	path string
}

// Open opens the state under base, an absolute path, and makes what is missing
// of it, though not the folder above base. On the way no link is followed, and a
// folder that somebody else could write to is refused. The error says what to do.
func Open(base string) (*Dir, error) {
	base = path.Clean(base)
	d := &Dir{folder{-1, base}, folder{-1, base + "/queue"}, folder{-1, base + "/incoming"}}
	if err := d.open(); err != nil {
		d.Close()
		return nil, fmt.Errorf("open state folder: %w", err)
	}
	return d, nil
}

func (d *Dir) open() error {
	if !strings.HasPrefix(d.base.path, "/") {
		return fmt.Errorf("%q: not an absolute path", d.base.path)
	}
	above := folder{path: "/"}
	var err error
	if above.fd, err = unix.Open("/", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0); err != nil {
		return &os.PathError{Op: "open", Path: "/", Err: err}
	}
	names := strings.Split(strings.Trim(d.base.path, "/"), "/")
	last := len(names) - 1
	for i, name := range names[:last] {
		next := folder{path: "/" + strings.Join(names[:i+1], "/")}
		next.fd, err = above.open(name, next.path, foreign)
		unix.Close(above.fd)
		if err != nil {
			return err
		}
		above = next
	}
	d.base.fd, err = above.open(names[last], d.base.path, own)
	unix.Close(above.fd)
	if err != nil {
		return err
	}
	if d.queue.fd, err = d.base.open("queue", d.queue.path, own); err != nil {
		return err
	}
	d.incoming.fd, err = d.base.open("incoming", d.incoming.path, own)
	return err
}

// Close releases the folders. What was claimed or locked stays so.
func (d *Dir) Close() {
	for _, f := range []*folder{&d.base, &d.queue, &d.incoming} {
		if f.fd >= 0 {
			unix.Close(f.fd)
			f.fd = -1
		}
	}
}

type whose bool

const (
	foreign whose = false // a folder on the way: has to be there
	own     whose = true  // made where it is missing
)

// open opens the folder called name in f; path is for messages.
func (f folder) open(name, path string, w whose) (int, error) {
	const flags = unix.O_PATH | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := unix.Openat(f.fd, name, flags, 0)
	if err == unix.ENOENT && w == own {
		if err := unix.Mkdirat(f.fd, name, 0o700); err != nil && err != unix.EEXIST {
			return -1, &os.PathError{Op: "make", Path: path, Err: err}
		}
		fd, err = unix.Openat(f.fd, name, flags, 0)
	}
	switch {
	case err == unix.ELOOP || err == unix.ENOTDIR:
		return -1, fmt.Errorf("%q is a link or a file where a folder has to be: remove it", path)
	case err != nil:
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	if err := trusted(fd, path, w); err != nil {
		unix.Close(fd)
		return -1, err
	}
	return fd, nil
}

// trusted refuses a folder that another user than us and root could put things
// into, or exchange. On the way a sticky folder is good: what is ours in it stays.
func trusted(fd int, path string, w whose) error {
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return &os.PathError{Op: "stat", Path: path, Err: err}
	}
	us := uint32(os.Geteuid())
	if st.Uid != us && (w == own || st.Uid != 0) {
		return fmt.Errorf("%q belongs to user %d, not to %d: remove it or give it back (chown)", path, st.Uid, us)
	}
	if st.Mode&0o022 != 0 && (w == own || st.Mode&unix.S_ISVTX == 0) {
		return fmt.Errorf("%q can be written to by others (mode %04o): chmod go-w it", path, st.Mode&0o7777)
	}
	return nil
}

// put makes the file called name, or exchanges it for a new one, whole.
func (f folder) put(name, text string) error {
	var temp string
	fd, err := -1, error(unix.EEXIST)
	for err == unix.EEXIST { // two may come in the same nanosecond
		temp = fmt.Sprintf(".%s.%d.%d", name, os.Getpid(), time.Now().UnixNano())
		fd, err = unix.Openat(f.fd, temp, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0o600)
	}
	if err != nil {
		return &os.PathError{Op: "open", Path: f.path + "/" + temp, Err: err}
	}
	file := os.NewFile(uintptr(fd), f.path+"/"+temp)
	_, err = file.WriteString(text + "\n")
	if err = errors.Join(err, file.Close()); err == nil {
		if err = unix.Renameat(f.fd, temp, f.fd, name); err != nil {
			err = &os.PathError{Op: "rename", Path: file.Name(), Err: err}
		}
	}
	if err != nil {
		return errors.Join(err, f.remove(temp))
	}
	return nil
}

// remove removes the file called name, if there is one.
func (f folder) remove(name string) error {
	if err := unix.Unlinkat(f.fd, name, 0); err != nil && err != unix.ENOENT {
		return &os.PathError{Op: "remove", Path: f.path + "/" + name, Err: err}
	}
	return nil
}

// checkUUID holds for a UUID in libvirt's canonical form: only that becomes the
// name of a file.
func checkUUID(uuid string) error {
	ok := len(uuid) == 36
	for i := range len(uuid) {
		switch c := uuid[i]; {
		case i == 8 || i == 13 || i == 18 || i == 23:
			ok = ok && c == '-'
		default:
			ok = ok && (c >= '0' && c <= '9' || c >= 'a' && c <= 'f')
		}
	}
	if !ok {
		return fmt.Errorf("%.40q is no UUID", uuid)
	}
	return nil
}
