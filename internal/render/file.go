package render

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// File is a file that is being written beside the one that it will take the place of.
type File struct {
	path string
	temp *os.File
}

// Create begins a file at path: Commit makes it, or exchanges the one that is there for
// it, whole. Who reads it, as node_exporter does at any time, finds all of the old or
// all of the new. Until then, and after Abort, the old one stays.
//
// The new one has the mode of the old, and its owner where that is allowed; without an
// old one 0644 less the umask.
//
// What is no regular file (a link, /dev/null) is refused: a rename would put a file in
// its place.
func Create(path string) (*File, error) {
	temp, err := create(path)
	if err != nil {
		return nil, fileError(path, err)
	}
	return &File{path, temp}, nil
}

func create(path string) (*os.File, error) {
	old, err := os.Lstat(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	mode := fs.FileMode(0o644)
	if err == nil {
		if !old.Mode().IsRegular() {
			return nil, errors.New("it is not a regular file")
		}
		mode = 0o600 // until it is the old one's
	}
	// The dot and the random end keep it away from those who read *.prom, and the name
	// is short whatever the file's is.
	temp, err := os.OpenFile(filepath.Join(filepath.Dir(path), ".virt-mtu."+rand.Text()), os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil || old == nil {
		return temp, err
	}
	owner := old.Sys().(*syscall.Stat_t)
	_ = temp.Chown(int(owner.Uid), int(owner.Gid)) // root may, others mostly not
	if err := temp.Chmod(old.Mode().Perm()); err != nil {
		discard(temp)
		return nil, err
	}
	return temp, nil
}

// Write writes to the new file.
func (f *File) Write(p []byte) (int, error) {
	n, err := f.temp.Write(p)
	if err != nil {
		err = fileError(f.path, err)
	}
	return n, err
}

// Commit puts the new file in place. If that fails the old one stays.
func (f *File) Commit() error {
	err := f.temp.Sync()
	if err == nil {
		err = f.temp.Close()
	}
	if err == nil {
		err = os.Rename(f.temp.Name(), f.path)
	}
	if err != nil {
		f.Abort()
		return fileError(f.path, err)
	}
	return nil
}

// Abort removes the new file, if Commit has not put it in place.
func (f *File) Abort() { discard(f.temp) }

func discard(temp *os.File) {
	temp.Close()
	os.Remove(temp.Name())
}

// fileError leaves the temporary name out.
func fileError(path string, err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		err = errno
	}
	return fmt.Errorf("write file %q: %w", path, err)
}
