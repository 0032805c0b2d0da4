package render

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"virt-mtu/internal/check"
)

// skip skips what needs a program that is not here; in CI it must be.
func skip(t testing.TB, program string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", program)
	}
	t.Skipf("%s is not installed", program)
}

func TestSVG(t *testing.T) {
	needDot(t)
	texts := strings.Join(drawn(t, example(t)), "\n")
	for _, want := range []string{"kvm1", "kvm2", "web1 (running)", "'legacy 7' (shut off)", "bottleneck: 1450 gets through", "✗ overlay-above-underlay", "bridge br-storage", "peer patch-int", "macvtap"} {
		if !strings.Contains(texts, want) {
			t.Errorf("no %q in:\n%s", want, texts)
		}
	}
}

// pretend puts a dot of our own first in PATH.
func pretend(t *testing.T, script string) {
	t.Helper()
	dir := t.TempDir()
	must(t, os.WriteFile(filepath.Join(dir, "dot"), []byte("#!/bin/sh\n"+script+"\n"), 0o755))
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
}

func TestSVGWithoutDot(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	var out bytes.Buffer
	err := SVG(t.Context(), &out, example(t))
	if !errors.Is(err, ErrNoDot) || out.Len() != 0 {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
	if hint := Hint(err); !strings.Contains(hint, "apt install graphviz") {
		t.Errorf("hint: %q", hint)
	}
}

// Half a picture is none, and dot's own words come through.
func TestSVGFails(t *testing.T) {
	pretend(t, `cat > /dev/null; echo '<svg'; echo 'Error: bad
thing' >&2; exit 3`)
	var out bytes.Buffer
	err := SVG(t.Context(), &out, example(t))
	if err == nil || out.Len() != 0 || err.Error() != "draw picture: dot: exit status 3: Error: bad?thing" {
		t.Errorf("%v, %d bytes", err, out.Len())
	}
	if hint := Hint(err); hint != "" {
		t.Errorf("hint: %q", hint)
	}
}

func TestSVGTakesTooLong(t *testing.T) {
	pretend(t, "exec sleep 30")
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := SVG(ctx, &bytes.Buffer{}, example(t))
	if !errors.Is(err, context.DeadlineExceeded) || Hint(err) == "" || time.Since(start) > 10*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
	ctx, cancel = context.WithCancel(t.Context())
	cancel()
	if err := SVG(ctx, &bytes.Buffer{}, example(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

// What dot has started ends with it.
func TestSVGEndsAll(t *testing.T) {
	file := filepath.Join(t.TempDir(), "pid")
	pretend(t, "sleep 30 & echo $! > "+file+".part; mv "+file+".part "+file+"; wait")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	done := make(chan error, 1)
	go func() { done <- SVG(ctx, &bytes.Buffer{}, &check.Report{}) }()
	var pid int
	for start := time.Now(); pid == 0; time.Sleep(10 * time.Millisecond) {
		if text, err := os.ReadFile(file); err == nil {
			_, err := fmt.Sscan(string(text), &pid)
			must(t, err)
		}
		if time.Since(start) > 20*time.Second {
			t.Fatal("dot has not been started")
		}
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	for start := time.Now(); runs(pid); time.Sleep(10 * time.Millisecond) {
		if time.Since(start) > 10*time.Second {
			t.Fatalf("process %d still runs", pid)
		}
	}
}

// runs reports whether there is a process, and it is no zombie.
func runs(pid int) bool {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	_, state, _ := strings.Cut(string(text), ") ")
	return err == nil && !strings.HasPrefix(state, "Z")
}
