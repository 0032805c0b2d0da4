package watch

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// following runs folder until the test ends; each call comes by the channel.
func following(t *testing.T, path string, asked <-chan struct{}) <-chan struct{} {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	called, ended := make(chan struct{}, 1<<10), make(chan error)
	go func() { ended <- folder(ctx, path, asked, func() { called <- struct{}{} }) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	wantCall(t, called, "at first")
	return called
}

func wantCall(t *testing.T, called <-chan struct{}, when string) {
	t.Helper()
	select {
	case <-called:
	case <-time.After(20 * time.Second):
		t.Fatalf("not called: %s", when)
	}
	for rest := time.After(50 * time.Millisecond); ; {
		select {
		case <-called:
		case <-rest:
			return
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	asked := make(chan struct{})
	called := following(t, dir, asked)
	write := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte("mtu = 9000\n"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("config.toml")
	wantCall(t, called, "a new file")
	write("config.toml")
	wantCall(t, called, "a file written")
	write("other")
	wantCall(t, called, "another file")
	if err := os.Rename(filepath.Join(dir, "other"), filepath.Join(dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	wantCall(t, called, "another in its place")
	asked <- struct{}{}
	wantCall(t, called, "asked")
	if err := os.Remove(filepath.Join(dir, "config.toml")); err != nil {
		t.Fatal(err)
	}
	wantCall(t, called, "removed")
}

// A folder that goes may come back.
func TestFolderComesBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "folder")
	come := func() {
		t.Helper()
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	come()
	called := following(t, dir, nil)
	if err := os.Remove(dir); err != nil {
		t.Fatal(err)
	}
	wantCall(t, called, "it goes")
	come()
	wantCall(t, called, "it is back")
	if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	wantCall(t, called, "it has a file")
}

// One that was never there may come, with what is above it, and go with it.
func TestFolderComes(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir := filepath.Join(top, "a", "b", "folder")
	called := following(t, dir, nil)
	quiet := func(when string) {
		t.Helper()
		select {
		case <-called:
			t.Errorf("called: %s", when)
		case <-time.After(50 * time.Millisecond):
		}
	}
	for range 3 {
		if err := os.WriteFile(filepath.Join(top, "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Mkdir(filepath.Join(top, "a"), 0o700); err != nil {
			t.Fatal(err)
		}
		quiet("what is above it comes")
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		wantCall(t, called, "it comes")
		if err := os.WriteFile(filepath.Join(top, "a", "b", "other"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		quiet("its neighbour changes")
		if err := os.WriteFile(filepath.Join(dir, "file"), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		wantCall(t, called, "it has a file")
		if err := os.RemoveAll(filepath.Join(top, "a")); err != nil {
			t.Fatal(err)
		}
		wantCall(t, called, "all of it goes")
	}
	// At once: the steps come faster than they can be watched.
	for range 50 {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		wantCall(t, called, "it comes at once")
		if err := os.RemoveAll(filepath.Join(top, "a")); err != nil {
			t.Fatal(err)
		}
		wantCall(t, called, "it goes at once")
	}
}
