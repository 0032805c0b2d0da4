package hookdir

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/state"
)

// A reload leaves no trace that others could see. So there is a note of the daemons
// that were told to reload while the hook was in its place. A process that is gone
// or was started at another time is another daemon.
const noteName = "reloaded"

// Note remembers that these daemons have been told of the hook.
func Note(daemons []Daemon) error {
	dir, err := state.Open(state.DefaultBase) // it makes the folder, and sees to it that it is ours
	if err != nil {
		return err
	}
	dir.Close()
	var text strings.Builder
	for _, d := range daemons {
		fmt.Fprintf(&text, "%s %d %d\n", d.Name, d.PID, d.Ticks)
	}
	f, err := os.OpenFile(filepath.Join(state.DefaultBase, noteName),
		os.O_WRONLY|os.O_CREATE|os.O_TRUNC|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return fmt.Errorf("note reload: %w", err)
	}
	_, err = f.WriteString(text.String())
	if err := errors.Join(err, f.Close()); err != nil {
		return fmt.Errorf("note reload: %w", err)
	}
	return nil
}

// Forget removes the note.
func Forget() error {
	err := os.Remove(filepath.Join(state.DefaultBase, noteName))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("forget reload: %w", err)
	}
	return nil
}

// noted returns the daemons of the note; none where it cannot be trusted.
func noted() []Daemon {
	f, err := os.OpenFile(filepath.Join(state.DefaultBase, noteName), os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() || info.Sys().(*syscall.Stat_t).Uid != 0 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(f, 1<<12))
	if err != nil {
		return nil
	}
	return parseNote(string(text))
}

func parseNote(text string) []Daemon {
	var daemons []Daemon
	for line := range strings.Lines(text) {
		var d Daemon
		if n, err := fmt.Sscanf(line, "%s %d %d\n", &d.Name, &d.PID, &d.Ticks); err == nil && n == 3 {
			daemons = append(daemons, d)
		}
	}
	return daemons
}

// Loaded reports whether the daemon looks into the hook directory at all. It finds
// out at its start and on SIGHUP whether there is any qemu hook; if so, it runs
// whatever lies there later (virHookInitialize, virHookCall). That is known where a
// hook was there before the daemon, or the daemon was told since.
func (d Dir) Loaded(daemon Daemon) (bool, error) {
	if slices.Contains(noted(), daemon) {
		return true, nil
	}
	entries, err := d.entries()
	if err != nil {
		return false, err
	}
	start, err := daemon.started()
	if err != nil {
		return false, err
	}
	return slices.ContainsFunc(entries, func(e entry) bool { return e.executable && e.changed.Before(start) }), nil
}
