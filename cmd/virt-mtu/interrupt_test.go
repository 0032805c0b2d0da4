package main

import (
	"bytes"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// endlessFile is a file that nobody writes to: to read it takes for ever.
func endlessFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return path
}

// An interrupted check says so, and leaves no half of a file.
func TestCheckInterrupted(t *testing.T) {
	for _, s := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP} {
		facts, dir := endlessFile(t), t.TempDir()
		var stdout, stderr bytes.Buffer
		done := make(chan int, 1)
		go func() {
			done <- run([]string{"check", "--facts", facts, "--output-file", filepath.Join(dir, "report")}, nil, &stdout, &stderr)
		}()
		begun := func() bool {
			entries, err := os.ReadDir(dir)
			return err == nil && len(entries) == 1
		}
		for start := time.Now(); !begun(); time.Sleep(time.Millisecond) {
			if time.Since(start) > 20*time.Second {
				t.Fatal("it has not begun")
			}
		}
		if err := syscall.Kill(os.Getpid(), s); err != nil {
			t.Fatal(err)
		}
		select {
		case status := <-done:
			if status != exitUnknown || stderr.String() != "virt-mtu: check: interrupted\n" || stdout.Len() > 0 {
				t.Errorf("%v: exit %d, stdout %q, stderr %q", s, status, &stdout, &stderr)
			}
		case <-time.After(20 * time.Second):
			t.Fatalf("%v: it goes on", s)
		}
		if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
			t.Errorf("%v: left behind: %v, %v", s, entries, err)
		}
	}
}

// Under nohup a hangup is no reason to stop.
func TestNohup(t *testing.T) {
	signal.Ignore(syscall.SIGHUP)
	defer signal.Reset(syscall.SIGHUP)
	c := newRoot()
	c.SetContext(t.Context())
	ctx, stop := interruptible(c)
	defer stop()
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	time.Sleep(50 * time.Millisecond)
	if ctx.Err() != nil {
		t.Error("it stops")
	}
	signals := []os.Signal{syscall.SIGHUP}
	if !slices.ContainsFunc(signals, signal.Ignored) {
		t.Error("the hangup is no longer ignored")
	}
}
