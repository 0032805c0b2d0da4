package render

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// files returns what lies in a folder, by name.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	entries, err := os.ReadDir(dir)
	must(t, err)
	for _, e := range entries {
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		must(t, err)
		all[e.Name()] = string(text)
	}
	return all
}

func begin(t *testing.T, path, text string) *File {
	t.Helper()
	f, err := Create(path)
	must(t, err)
	_, err = f.Write([]byte(text))
	must(t, err)
	return f
}

func TestFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "virt-mtu.prom")
	must(t, begin(t, path, "one\n").Commit())
	f := begin(t, path, "two\n")
	must(t, f.Commit())
	f.Abort() // nothing is left to be removed

	// While it is written, and when that fails, the old one is there alone.
	other := begin(t, path, "other\n")
	f = begin(t, path, "thr")
	old, err := os.ReadFile(path)
	must(t, err)
	if string(old) != "two\n" {
		t.Errorf("half written: %q", old)
	}
	proms, err := filepath.Glob(filepath.Join(dir, "*.prom"))
	must(t, err)
	if len(proms) != 1 {
		t.Errorf("node_exporter reads %q", proms)
	}
	f.Abort()
	if n := len(files(t, dir)); n != 2 {
		t.Errorf("%d files, want the old one and another's", n)
	}
	must(t, other.Commit())
	if diff := cmp.Diff(map[string]string{"virt-mtu.prom": "other\n"}, files(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// Who could read the old one can read the new one, and nobody else.
func TestFileMode(t *testing.T) {
	dir := t.TempDir()
	defer syscall.Umask(syscall.Umask(0o027))
	must(t, begin(t, filepath.Join(dir, "new"), "").Commit())
	want := map[string]fs.FileMode{"new": 0o640}
	for name, mode := range map[string]fs.FileMode{"private": 0o600, "public": 0o666, "odd": 0o604} {
		path := filepath.Join(dir, name)
		must(t, os.WriteFile(path, nil, 0o600))
		must(t, os.Chmod(path, mode))
		if os.Geteuid() == 0 {
			must(t, os.Chown(path, 12345, 23456))
		}
		must(t, begin(t, path, "").Commit())
		want[name] = mode
	}
	for name, mode := range want {
		info, err := os.Stat(filepath.Join(dir, name))
		must(t, err)
		owner := info.Sys().(*syscall.Stat_t)
		if info.Mode() != mode {
			t.Errorf("%s: mode %v, want %v", name, info.Mode(), mode)
		}
		if os.Geteuid() == 0 && name != "new" && (owner.Uid != 12345 || owner.Gid != 23456) {
			t.Errorf("%s: owner %d:%d", name, owner.Uid, owner.Gid)
		}
	}
}

// A name may be as long as the file system lets it.
func TestFileLongName(t *testing.T) {
	dir := t.TempDir()
	name := strings.Repeat("x", 250)
	must(t, begin(t, filepath.Join(dir, name), "text").Commit())
	if diff := cmp.Diff(map[string]string{name: "text"}, files(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestCreateRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(t, os.Symlink("elsewhere", filepath.Join(dir, "link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	for path, want := range map[string]string{
		"folder": "it is not a regular file", "link": "it is not a regular file", "pipe": "it is not a regular file",
		"missing/file": "no such file or directory",
	} {
		path = filepath.Join(dir, path)
		if _, err := Create(path); err == nil || err.Error() != `write file "`+path+`": `+want {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
}

// What cannot be put in place leaves nothing behind.
func TestCommitFails(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "report")
	f := begin(t, path, "text")
	must(t, os.MkdirAll(filepath.Join(path, "in the way"), 0o755))
	if err := f.Commit(); err == nil || !strings.HasPrefix(err.Error(), `write file "`+path+`": `) || strings.Contains(err.Error(), ".virt-mtu.") {
		t.Errorf("%v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v, %v", entries, err)
	}
}
