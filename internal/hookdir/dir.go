package hookdir

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"virt-mtu/internal/plan"
	"virt-mtu/internal/whole"
)

// Default is libvirt's hook directory: SYSCONFDIR/libvirt/hooks, which libvirt
// cannot be told to look for elsewhere.
const Default Dir = "/etc/libvirt/hooks"

// name of the hook in qemu.d. libvirt goes by the bytes of the names: there is room
// before it and behind it.
const name = "50-virt-mtu"

// FirstVersion of libvirt that runs what lies in qemu.d, as libvirt counts it:
// 1,000,000 * major + 1,000 * minor + release.
const FirstVersion = 6_005_000

// ErrNoLibvirt: there is no folder for the hook directory to be in.
var ErrNoLibvirt = errors.New("libvirt is not installed here")

// ForeignError: what lies at the hook's path is not virt-mtu's.
type ForeignError struct{ Path string }

func (e *ForeignError) Error() string { return fmt.Sprintf("%q is there and not virt-mtu's", e.Path) }

// Remedy is what to do about it.
func (e *ForeignError) Remedy() string {
	return "see what it is, and move it to another name, or away: ls -l " + plan.ShellWord(e.Path)
}

// Dir is a hook directory of libvirt.
type Dir string

// Folder is where the hook goes. libvirt runs every executable file in it.
func (d Dir) Folder() string { return filepath.Join(string(d), "qemu.d") }

// Hook is the hook's path.
func (d Dir) Hook() string { return filepath.Join(d.Folder(), name) }

// Installed reports whether the hook is in its place. What lies there instead is a
// *ForeignError.
func (d Dir) Installed() (bool, error) {
	_, err := os.Lstat(d.Hook())
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	mine, err := ours(d.Hook())
	if err != nil {
		return false, err
	}
	if !mine {
		return false, &ForeignError{d.Hook()}
	}
	return true, nil
}

// Change is what Install did.
type Change struct {
	Made    []string // folders
	Copied  bool     // false: the same was there
	Updated bool     // another build was there, or the same one behind a link or not executable
}

// Pending is what Install would do with the hook at src, apart from folders. Errors:
// ErrNoLibvirt, *ForeignError.
func (d Dir) Pending(src string) (Change, error) {
	if _, err := os.Stat(filepath.Dir(string(d))); errors.Is(err, fs.ErrNotExist) {
		return Change{}, fmt.Errorf("no folder %q: %w", filepath.Dir(string(d)), ErrNoLibvirt)
	}
	there, err := d.Installed()
	if err != nil || there && d.upToDate(src) {
		return Change{}, err
	}
	return Change{Copied: true, Updated: there}, nil
}

// Install puts a copy of the hook at src in its place. A copy, and not a link: under
// AppArmor libvirt may execute what lies in its hook directory, and hardly anything
// else. Errors: those of Pending.
func (d Dir) Install(src string) (Change, error) {
	var c Change
	pending, err := d.Pending(src)
	if err != nil || !pending.Copied {
		return c, err
	}
	for _, dir := range []string{string(d), d.Folder()} {
		err := os.Mkdir(dir, 0o755)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err == nil {
			c.Made = append(c.Made, dir)
			err = os.Chmod(dir, 0o755) // whatever the umask
		}
		if err != nil {
			return c, fmt.Errorf("install hook: %w", err)
		}
	}
	if err := d.put(src); err != nil {
		return c, fmt.Errorf("install hook: %w", err)
	}
	c.Copied, c.Updated = true, pending.Updated
	return c, nil
}

// upToDate reports whether src's content lies in the hook's place, as a file of
// root's that libvirt can execute.
func (d Dir) upToDate(src string) bool {
	e, err := stat(d.Hook())
	if err != nil || e.link != "" || !e.executable {
		return false
	}
	same, err := sameContent(src, d.Hook())
	return err == nil && same
}

// put copies src to the hook's place. Until it is whole the copy lies where libvirt
// runs nothing but files of certain names; a file in qemu.d that cannot be executed
// to its end stops every domain start. The rename is what makes it appear.
func (d Dir) put(src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	return whole.Put(d.Hook(), string(d), 0o755, in, func(copied string) error {
		if err := runs(copied); err != nil {
			return fmt.Errorf("%q cannot be executed here: %w", src, err)
		}
		return nil
	})
}

// runs executes the hook without arguments, as which it does nothing.
func runs(hook string) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return exec.CommandContext(ctx, hook).Run()
}

// Uninstall takes the hook out, and reports whether it was there. Folders stay.
// Error: *ForeignError.
func (d Dir) Uninstall() (bool, error) {
	there, err := d.Installed()
	if !there || err != nil {
		return false, err
	}
	if err := os.Remove(d.Hook()); err != nil {
		return false, fmt.Errorf("remove hook: %w", err)
	}
	return true, nil
}

// Copies are the other places where libvirt finds and runs virt-mtu's hook.
func (d Dir) Copies() ([]string, error) {
	entries, err := d.entries()
	if err != nil {
		return nil, err
	}
	return copies(entries, d.Hook()), nil
}

// sameContent reports whether two files hold the same bytes.
func sameContent(a, b string) (bool, error) {
	x, err := os.ReadFile(a)
	if err != nil {
		return false, err
	}
	y, err := os.ReadFile(b)
	return bytes.Equal(x, y), err
}
