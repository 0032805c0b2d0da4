package unit

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/plan"
	"virt-mtu/internal/whole"
)

// Default is where an admin's units lie, before all others.
const Default Dir = "/etc/systemd/system"

// packaged are the folders of packages' units.
var packaged = []string{"/usr/local/lib/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"}

// ErrNoSystemd: there is no folder for units.
var ErrNoSystemd = errors.New("systemd is not installed here")

// KeptError: what lies in a unit's place is not touched.
type KeptError struct {
	Path, Why string
	remedy    string
}

func (e *KeptError) Error() string { return fmt.Sprintf("%q %s", e.Path, e.Why) }

// Remedy is what to do about it.
func (e *KeptError) Remedy() string { return e.remedy }

// Dir is a folder of systemd's units.
type Dir string

// Packaged are the units of ours that a package has brought.
func Packaged() (paths []string) {
	seen := map[string]bool{} // /lib is a link to /usr/lib, mostly
	for _, dir := range packaged {
		for _, name := range Names() {
			path := filepath.Join(dir, name)
			if _, err := os.Lstat(path); err == nil && !seen[name] {
				seen[name] = true
				paths = append(paths, path)
			}
		}
	}
	return paths
}

// Change is what Install does to a unit.
type Change struct {
	Name    string
	Written bool // false: the same is there
	Updated bool // of another build, or for another program
}

// Pending is what Install would do.
func (d Dir) Pending(program string) (changes []Change, kept []*KeptError, err error) {
	if _, err := os.Stat(string(d)); errors.Is(err, fs.ErrNotExist) {
		return nil, nil, fmt.Errorf("no folder %q: %w", string(d), ErrNoSystemd)
	}
	for _, name := range Names() {
		want, err := text(name, program)
		if err != nil {
			return nil, nil, err
		}
		have, err := d.read(name)
		var keep *KeptError
		switch {
		case errors.As(err, &keep):
			kept = append(kept, keep)
		case err == nil:
			changes = append(changes, Change{name, have != want, have != want})
		case errors.Is(err, fs.ErrNotExist):
			changes = append(changes, Change{name, true, false})
		default:
			return nil, nil, err
		}
	}
	return changes, kept, nil
}

// Install puts each unit in its place, to start the virt-mtu at program. One that is
// not ours or that somebody has edited stays as it is, and is a *KeptError among kept.
// With an error the changes are those that were made. Error: ErrNoSystemd.
func (d Dir) Install(program string) (changes []Change, kept []*KeptError, err error) {
	changes, kept, err = d.Pending(program)
	for i, c := range changes {
		if !c.Written {
			continue
		}
		unit, err := text(c.Name, program)
		if err == nil {
			// systemd passes over names with a dot in front.
			err = whole.Put(d.Path(c.Name), string(d), 0o644, strings.NewReader(unit), nil)
		}
		if err != nil {
			return changes[:i], kept, fmt.Errorf("write unit: %w", err)
		}
	}
	return changes, kept, err
}

// Path is where a unit lies.
func (d Dir) Path(name string) string { return filepath.Join(string(d), name) }

// Written are the names of the units that Install has put there, those of other builds
// too. What is edited since is among kept.
func (d Dir) Written() (names []string, kept []*KeptError, err error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	for _, e := range entries {
		if !strings.HasPrefix(e.Name(), prefix) || !e.Type().IsRegular() {
			continue
		}
		_, err := d.read(e.Name())
		var keep *KeptError
		switch {
		case err == nil:
			names = append(names, e.Name())
		case errors.As(err, &keep) && keep.Why == whyEdited:
			kept = append(kept, keep)
		case !errors.As(err, &keep):
			return nil, nil, err
		}
	}
	return names, kept, nil
}

// Remove takes out a unit that is ours still.
func (d Dir) Remove(name string) error {
	if _, err := d.read(name); err != nil {
		return err
	}
	if err := os.Remove(d.Path(name)); err != nil {
		return fmt.Errorf("remove unit: %w", err)
	}
	return nil
}

const (
	whyEdited  = "has been edited since virt-mtu wrote it"
	whyForeign = "is there and not virt-mtu's"
	whyMasked  = "is masked"
)

// read returns a unit of ours. Errors: *KeptError, fs.ErrNotExist.
func (d Dir) read(name string) (string, error) {
	path := d.Path(name)
	kept := func(why, remedy string) error { return &KeptError{path, why, remedy} }
	if target, err := os.Readlink(path); err == nil {
		if target == "/dev/null" {
			return "", kept(whyMasked, "where it is not to stay so: systemctl unmask "+name)
		}
		return "", kept(whyForeign, "see what it is: ls -l "+plan.ShellWord(path))
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if err != nil {
		return "", err
	}
	defer f.Close()
	if info, err := f.Stat(); err != nil {
		return "", err
	} else if !info.Mode().IsRegular() {
		return "", kept(whyForeign, "see what it is: ls -l "+plan.ShellWord(path))
	}
	raw, err := io.ReadAll(f)
	if err != nil {
		return "", err
	}
	switch originOf(string(raw)) {
	case ours:
		return string(raw), nil
	case edited:
		return "", kept(whyEdited, "what is yours goes into systemctl edit "+name+"; then: rm "+plan.ShellWord(path))
	}
	return "", kept(whyForeign, "if nothing there is to be kept: rm "+plan.ShellWord(path))
}
