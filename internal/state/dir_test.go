package state

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"virt-mtu/test/netns"
)

const (
	uuidA = "11111111-2222-3333-4444-555555555555"
	uuidB = "aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee"
)

// open opens a state of the test's own.
func open(t *testing.T) *Dir {
	t.Helper()
	d, err := Open(filepath.Join(folderFor(t), "virt-mtu"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// folderFor is a folder that passes whatever the umask is.
func folderFor(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, d := range []string{dir, filepath.Dir(dir)} {
		if err := os.Chmod(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestOpenMakesFolders(t *testing.T) {
	base := filepath.Join(folderFor(t), "virt-mtu")
	for range 2 {
		d, err := Open(base)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
		for _, dir := range []string{"", "queue", "incoming"} {
			info, err := os.Lstat(filepath.Join(base, dir))
			if err != nil {
				t.Fatal(err)
			}
			if info.Mode() != os.ModeDir|0o700 {
				t.Errorf("%q: mode %v", dir, info.Mode())
			}
		}
	}
}

// Each folder that is not to be trusted is refused, and nothing is put through it.
func TestOpenRefuses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		prepare func(t *testing.T, dir string) // base is to be dir/a/virt-mtu
		want    string
	}{
		{"a link for the base", func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
			must(t, os.Symlink("../elsewhere", filepath.Join(dir, "a/virt-mtu")))
		}, `a/virt-mtu" is a link`},
		{"a link in the middle", func(t *testing.T, dir string) {
			must(t, os.Symlink("elsewhere", filepath.Join(dir, "a")))
		}, `a" is a link`},
		{"a link for the queue", func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/virt-mtu"), 0o700))
			must(t, os.Symlink("../../elsewhere", filepath.Join(dir, "a/virt-mtu/queue")))
		}, `queue" is a link`},
		{"a dangling link", func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/virt-mtu"), 0o700))
			must(t, os.Symlink("../../elsewhere/new", filepath.Join(dir, "a/virt-mtu/incoming")))
		}, `incoming" is a link`},
		{"a file", func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
			must(t, os.WriteFile(filepath.Join(dir, "a/virt-mtu"), nil, 0o600))
		}, "is a link or a file"},
		{"a group that may write", func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/virt-mtu"), 0o700))
			must(t, os.Chmod(filepath.Join(dir, "a/virt-mtu"), 0o770))
		}, `a/virt-mtu" can be written to by others (mode 0770)`},
		{"a sticky base", func(t *testing.T, dir string) {
			must(t, os.MkdirAll(filepath.Join(dir, "a/virt-mtu"), 0o700))
			must(t, os.Chmod(filepath.Join(dir, "a/virt-mtu"), 0o777|os.ModeSticky))
		}, "(mode 1777)"},
		{"a world that may write above it", func(t *testing.T, dir string) {
			must(t, os.Mkdir(filepath.Join(dir, "a"), 0o700))
			must(t, os.Chmod(filepath.Join(dir, "a"), 0o777))
		}, `a" can be written to by others`},
		{"nothing above it", func(t *testing.T, dir string) {}, "no such file"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := folderFor(t)
			must(t, os.Mkdir(filepath.Join(dir, "elsewhere"), 0o700))
			tt.prepare(t, dir)
			d, err := Open(filepath.Join(dir, "a/virt-mtu"))
			if err == nil {
				d.Close()
				t.Fatal("opened")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%v\nlacks %s", err, tt.want)
			}
			if left, _ := os.ReadDir(filepath.Join(dir, "elsewhere")); len(left) != 0 {
				t.Errorf("something was put elsewhere: %v", left)
			}
		})
	}
	if _, err := Open("run/virt-mtu"); err == nil {
		t.Error("opened a relative path")
	}
}

func TestOpenBelowSticky(t *testing.T) {
	dir := folderFor(t)
	must(t, os.Chmod(dir, 0o777|os.ModeSticky)) // as /tmp is
	d, err := Open(filepath.Join(dir, "virt-mtu"))
	if err != nil {
		t.Fatal(err)
	}
	d.Close()
}

func TestIntegrationOpenInRun(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		must(t, os.Chmod("/run", 0o755)) // a new tmpfs is 1777
		d, err := Open(DefaultBase)
		if err != nil {
			t.Fatal(err)
		}
		d.Close()

		must(t, os.Chown(DefaultBase+"/queue", 4711, 0))
		_, err = Open(DefaultBase)
		if want := `"/run/virt-mtu/queue" belongs to user 4711, not to 0`; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %s", err, want)
		}

		must(t, os.RemoveAll(DefaultBase))
		must(t, syscall.Mount("", "/run", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		_, err = Open(DefaultBase)
		if want := "make /run/virt-mtu: read-only file system"; err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %s", err, want)
		}
	})
}

// What was opened before the file system went read-only fails with an error.
func TestIntegrationReadOnlyLater(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		d, err := Open(DefaultBase)
		if err != nil {
			t.Fatal(err)
		}
		defer d.Close()
		must(t, d.Queue(uuidA, ""))
		must(t, syscall.Mount("", "/run", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		for what, err := range map[string]error{
			"queue": d.Queue(uuidA, ""), "claim": d.Claim(uuidA), "mark": d.MarkIncoming(uuidA, "guest"),
		} {
			if !errors.Is(err, syscall.EROFS) {
				t.Errorf("%s: %v", what, err)
			}
		}
	})
}

func TestUUIDs(t *testing.T) {
	d := open(t)
	for _, uuid := range []string{
		"", ".", "..", "../" + uuidA[3:], strings.ToUpper(uuidB), uuidA + "\n", uuidA[:35], uuidA + "1", uuidA + claimed,
		strings.Repeat("1", 36), strings.Repeat("-", 36), "11111111/2222-3333-4444-555555555555",
	} {
		for what, err := range map[string]error{
			"queue": d.Queue(uuid, ""), "claim": d.Claim(uuid), "done": d.Done(uuid),
			"mark": d.MarkIncoming(uuid, "guest"), "clear": d.ClearIncoming(uuid),
		} {
			if err == nil || !strings.Contains(err.Error(), "is no UUID") {
				t.Errorf("%s %q: %v", what, uuid, err)
			}
		}
		if _, ok := d.Incoming(uuid, "guest"); ok {
			t.Errorf("incoming %q", uuid)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
