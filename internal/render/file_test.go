package render

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func write(s string) func(io.Writer) error {
	return func(w io.Writer) error {
		_, err := io.WriteString(w, s)
		return err
	}
}

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

func TestWriteFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "virt-mtu.prom")
	defer syscall.Umask(syscall.Umask(0o077)) // node_exporter reads it under any umask
	must(t, WriteFile(path, write("one\n")))
	must(t, WriteFile(path, write("two\n")))
	info, err := os.Stat(path)
	must(t, err)
	if info.Mode() != 0o644 {
		t.Errorf("mode %v", info.Mode())
	}

	// While it is written, and when that fails, the old one is there alone.
	failure := errors.New("no report")
	err = WriteFile(path, func(w io.Writer) error {
		must(t, write("thr")(w))
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
		return failure
	})
	if !errors.Is(err, failure) {
		t.Error(err)
	}
	if diff := cmp.Diff(map[string]string{"virt-mtu.prom": "two\n"}, files(t, dir)); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestWriteFileRefuses(t *testing.T) {
	dir := t.TempDir()
	must(t, os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	must(t, os.Symlink("elsewhere", filepath.Join(dir, "link")))
	must(t, syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o644))
	for _, path := range []string{"folder", "link", "pipe", "missing/file"} {
		err := WriteFile(filepath.Join(dir, path), func(io.Writer) error {
			t.Errorf("%s: written to", path)
			return nil
		})
		if err == nil {
			t.Errorf("%s: taken", path)
		}
	}
	if err := WriteFile(filepath.Join(dir, "missing/file"), write("")); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
	entries, err := os.ReadDir(dir)
	must(t, err)
	if len(entries) != 3 {
		t.Errorf("left behind: %v", entries)
	}
}
