package hookdir

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"virt-mtu/test/netns"
)

// build builds the real hook; version makes one build differ from another.
func build(t *testing.T, version string) string {
	t.Helper()
	out := filepath.Join(t.TempDir(), "qemu-hook")
	cmd := exec.Command("go", "build", "-ldflags", "-s -w -B 0x"+version, "-o", out, mainPackage)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if msg, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, msg)
	}
	return out
}

// tree is what lies below dir: names with mode, and the target of links.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	err := filepath.WalkDir(dir, func(p string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := e.Info()
		m[strings.TrimPrefix(p, dir)] = info.Mode().String()
		if target, lerr := os.Readlink(p); lerr == nil {
			m[strings.TrimPrefix(p, dir)] += " " + target
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestInstall(t *testing.T) {
	umask := unix.Umask(0o077) // that of a careful admin must not show
	defer unix.Umask(umask)
	d := Dir(filepath.Join(t.TempDir(), "hooks"))
	first, second := build(t, "01"), build(t, "02")
	install := func(src string, want Change) {
		t.Helper()
		got, err := d.Install(src)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		same, err := sameContent(src, d.Hook())
		if !same || err != nil {
			t.Errorf("the hook is not a copy of %s: %v", src, err)
		}
	}
	install(first, Change{Made: []string{string(d), d.Folder()}, Copied: true})
	install(first, Change{})
	install(second, Change{Copied: true, Updated: true})

	must(t, os.Chmod(d.Hook(), 0o644))
	install(second, Change{Copied: true, Updated: true})

	must(t, os.Remove(d.Hook()))
	must(t, os.Symlink(first, d.Hook()))
	install(first, Change{Copied: true, Updated: true})
	if l, err := os.Lstat(d.Hook()); err != nil || l.Mode() != 0o755 {
		t.Errorf("mode %v, %v", l.Mode(), err)
	}

	must(t, os.WriteFile(filepath.Join(d.Folder(), "10-other"), nil, 0o755))
	if there, err := d.Uninstall(); !there || err != nil {
		t.Errorf("uninstall: %v, %v", there, err)
	}
	if there, err := d.Uninstall(); there || err != nil {
		t.Errorf("uninstall again: %v, %v", there, err)
	}
	want := map[string]string{"": "drwxr-xr-x", "/qemu.d": "drwxr-xr-x", "/qemu.d/10-other": "-rwx------"}
	if diff := cmp.Diff(want, tree(t, string(d))); diff != "" {
		t.Error(diff)
	}
}

// A hook that libvirt cannot execute would stop every start.
func TestInstallRunsItFirst(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "hooks"))
	hook := build(t, "01")
	elf, err := os.ReadFile(hook)
	must(t, err)
	const machine = 18 // e_machine of the ELF header
	elf[machine], elf[machine+1] = 0xff, 0x7f
	foreign := filepath.Join(t.TempDir(), "qemu-hook")
	must(t, os.WriteFile(foreign, elf, 0o755))
	if _, err := d.Install(foreign); err == nil || !strings.Contains(err.Error(), "cannot be executed here") {
		t.Errorf("%v", err)
	}
	if left := tree(t, string(d)); len(left) != 2 { // hooks and qemu.d
		t.Errorf("left behind: %v", left)
	}
	_, err = d.Install(hook)
	must(t, err)
	_, err = d.Install(foreign)
	if same, _ := sameContent(hook, d.Hook()); err == nil || !same {
		t.Errorf("the good one is gone: %v", err)
	}
}

func TestInstallWithoutLibvirt(t *testing.T) {
	d := Dir(filepath.Join(t.TempDir(), "libvirt", "hooks"))
	if _, err := d.Install("/nowhere"); !errors.Is(err, ErrNoLibvirt) {
		t.Error(err)
	}
}

// What is not ours stays, whatever it is.
func TestForeign(t *testing.T) {
	self, err := os.Executable()
	must(t, err)
	for what, put := range map[string]func(path string) error{
		"script":             func(p string) error { return os.WriteFile(p, []byte("#!/bin/sh\n"), 0o755) },
		"empty":              func(p string) error { return os.WriteFile(p, nil, 0o755) },
		"another Go program": func(p string) error { return os.Link(self, p) },
		"folder":             func(p string) error { return os.Mkdir(p, 0o755) },
		"FIFO":               func(p string) error { return unix.Mkfifo(p, 0o755) },
		"dangling link":      func(p string) error { return os.Symlink("nowhere", p) },
		"link to itself":     func(p string) error { return os.Symlink(p, p) },
	} {
		t.Run(what, func(t *testing.T) {
			d := Dir(t.TempDir())
			must(t, os.Mkdir(d.Folder(), 0o755))
			if err := put(d.Hook()); errors.Is(err, unix.EXDEV) {
				must(t, copyFile(self, d.Hook()))
			} else {
				must(t, err)
			}
			before := tree(t, string(d))
			var foreign *ForeignError
			if _, err := d.Install("/bin/true"); !errors.As(err, &foreign) {
				t.Errorf("install: %v", err)
			}
			if _, err := d.Uninstall(); !errors.As(err, &foreign) {
				t.Errorf("uninstall: %v", err)
			}
			s, err := d.Status(0, "")
			if err != nil || s.Installed || s.Problems[0].Code != "hook-shadowed" {
				t.Errorf("status: %+v, %v", s, err)
			}
			if diff := cmp.Diff(before, tree(t, string(d))); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestEntries(t *testing.T) {
	hook := build(t, "01")
	netns.Run(t, func(t *testing.T) {
		d := Dir(t.TempDir())
		must(t, os.Mkdir(d.Folder(), 0o755))
		must(t, unix.Mount("tmpfs", d.Folder(), "tmpfs", unix.MS_NOEXEC, ""))
		defer unix.Unmount(d.Folder(), unix.MNT_DETACH)
		must(t, copyFile(hook, filepath.Join(string(d), "qemu")))
		must(t, copyFile(hook, d.Hook()))
		must(t, os.Symlink("nowhere", filepath.Join(d.Folder(), "10-dangling")))
		must(t, os.Mkdir(filepath.Join(d.Folder(), "20-folder"), 0o755))
		entries, err := d.entries()
		must(t, err)
		type row struct {
			Name                     string
			Executable, Noexec, Ours bool
		}
		var got []row
		for _, e := range entries {
			got = append(got, row{filepath.Base(e.path), e.executable, e.noexec, e.ours})
		}
		want := []row{{"qemu", true, false, true}, {"20-folder", false, false, false}, {"50-virt-mtu", false, true, true}}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	})
}

func TestBinary(t *testing.T) {
	hook := build(t, "01")
	dir := t.TempDir()
	for _, sub := range []string{"a", "b", "c", "sbin"} {
		must(t, os.Mkdir(filepath.Join(dir, sub), 0o755))
	}
	at := func(p string) string { return filepath.Join(dir, p) }
	must(t, os.WriteFile(at("a/qemu-hook"), []byte("#!/bin/sh\n"), 0o755)) // somebody's, of that name
	if got, err := Binary(at("a/virt-mtu"), at("a")+":c:"+at("b")); !errors.Is(err, ErrNoBinary) {
		t.Errorf("found %q, %v", got, err)
	}
	for _, file := range []string{"c/qemu-hook", "c/virt-mtu-qemu-hook", "sbin/virt-mtu-qemu-hook", "a/virt-mtu-qemu-hook"} {
		must(t, copyFile(hook, at(file)))
		if got, err := Binary(at("a/virt-mtu"), at("b")+":"+at("c")); got != at(file) || err != nil {
			t.Errorf("found %q, %v, want %q", got, err, at(file))
		}
	}
}

func copyFile(from, to string) error {
	b, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return os.WriteFile(to, b, 0o755)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
