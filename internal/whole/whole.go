// Package whole writes a file that others may read or run at any moment: it is there as a
// whole, or as it was before.
//
// Not for the hook's state, whose folder it trusts no name in, nor for a report that is
// written bit by bit and keeps the owner of the file before it.
package whole

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Put writes the content to the file. Until it is whole it lies in the folder temp, on
// the same file system, by a name with a dot in front. ready, where set, is asked of it
// there at last, and its error keeps the file as it was.
func Put(file, temp string, mode fs.FileMode, content io.Reader, ready func(path string) error) (err error) {
	f, err := os.CreateTemp(temp, "."+filepath.Base(file)+".")
	if err != nil {
		return err
	}
	defer func() {
		f.Close()
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	if _, err := io.Copy(f, content); err != nil {
		return err
	}
	if err := f.Chmod(mode); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil { // what is open for writing cannot be executed
		return err
	}
	if ready != nil {
		if err := ready(f.Name()); err != nil {
			return err
		}
	}
	return os.Rename(f.Name(), file)
}
