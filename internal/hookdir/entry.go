package hookdir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// entry is a file that libvirt runs as a qemu hook, or would if it could.
type entry struct {
	path       string
	link       string // where it really is, if it is a link
	executable bool   // to libvirt: a regular file with an x bit, not on a noexec mount
	noexec     bool   // on a noexec mount
	// changed is the ctime, the later one of the link and the file: the rename, chmod
	// or write that made it what it is.
	changed time.Time
	ours    bool
}

// entries are hooks/qemu and all in qemu.d that libvirt may take for a hook, in the
// order in which it runs them (virHookCall, libvirt 6.5 to 11.3).
func (d Dir) entries() ([]entry, error) {
	paths := []string{filepath.Join(string(d), "qemu")}
	list, err := os.ReadDir(d.Folder()) // sorted by bytes, as libvirt does
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list hooks: %w", err)
	}
	for _, e := range list {
		paths = append(paths, filepath.Join(d.Folder(), e.Name()))
	}
	var entries []entry
	for _, p := range paths {
		e, err := stat(p)
		if errors.Is(err, fs.ErrPermission) {
			return nil, err
		}
		if err == nil { // else a link that leads nowhere: libvirt passes it over
			entries = append(entries, e)
		}
	}
	return entries, nil
}

// stat looks at one file.
func stat(path string) (entry, error) {
	e := entry{path: path}
	info, err := os.Stat(path)
	if err != nil {
		return e, err
	}
	e.changed = ctime(info)
	link, err := os.Lstat(path)
	if err != nil {
		return e, err
	}
	if link.Mode()&fs.ModeSymlink != 0 {
		if e.link, err = filepath.EvalSymlinks(path); err != nil {
			return e, err
		}
		if c := ctime(link); c.After(e.changed) {
			e.changed = c
		}
	}
	if !info.Mode().IsRegular() {
		return e, nil
	}
	var mount unix.Statfs_t
	if err := unix.Statfs(path, &mount); err != nil {
		return e, &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	e.noexec = mount.Flags&unix.ST_NOEXEC != 0
	e.executable = info.Mode()&0o111 != 0 && !e.noexec
	e.ours, err = ours(path)
	return e, err
}

func ctime(info fs.FileInfo) time.Time {
	return time.Unix(info.Sys().(*syscall.Stat_t).Ctim.Unix())
}

// copies are the paths of our hook, executable, in another place than its own.
func copies(entries []entry, own string) []string {
	var paths []string
	for _, e := range entries {
		if e.ours && e.executable && e.path != own {
			paths = append(paths, e.path)
		}
	}
	return paths
}
