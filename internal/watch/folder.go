package watch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/fsnotify/fsnotify"
)

// folder calls changed at first, when something in a folder does, and when it is asked
// to, until ctx ends. One that is not there may come: until then the nearest above it
// that is there is watched. It never polls.
func folder(ctx context.Context, path string, asked <-chan struct{}, changed func()) error {
	w, err := fsnotify.NewWatcher()
	if err != nil {
		return fmt.Errorf("watch %s: %w", path, err)
	}
	defer w.Close()
	f := folderWatch{w, path}
	// Before the first look, so that nothing falls in between.
	if _, err := f.place(); err != nil {
		return err
	}
	changed()
	for {
		ours := true
		select {
		case <-ctx.Done():
			return nil
		case <-asked:
			_ = w.Remove(path) // something else may be mounted there by now
		case e, ok := <-w.Events:
			if !ok {
				return errors.New("the watch of " + path + " has ended")
			}
			ours = e.Name == path || filepath.Dir(e.Name) == path
		case err := <-w.Errors:
			return fmt.Errorf("watch %s: %w", path, err)
		}
		came, err := f.place()
		if err != nil {
			return err
		}
		if came || ours {
			changed()
		}
	}
}

type folderWatch struct {
	*fsnotify.Watcher
	path string
}

// place sees to it that the folder is watched, or what is nearest above it, and reports
// whether it is and was not.
func (f *folderWatch) place() (came bool, err error) {
	if slices.Contains(f.WatchList(), f.path) {
		return false, nil
	}
	for at := f.path; ; {
		switch err := f.Add(at); {
		case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR):
			at = filepath.Dir(at)
			continue
		case err != nil:
			return false, fmt.Errorf("watch %s: %w", at, err)
		}
		for _, other := range f.WatchList() {
			if other != at {
				_ = f.Remove(other)
			}
		}
		if at == f.path {
			return true, nil
		}
		// What is next may have come before at was watched.
		if _, err := os.Stat(f.below(at)); err != nil {
			return false, nil
		}
		at = f.path
	}
}

// below is the next step from a folder above down to f's.
func (f *folderWatch) below(above string) string {
	step := f.path
	for filepath.Dir(step) != above {
		step = filepath.Dir(step)
	}
	return step
}
