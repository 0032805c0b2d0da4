package libvirt

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseURI(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	system := []string{
		"/run/libvirt/virtqemud-sock", "/var/run/libvirt/virtqemud-sock",
		"/run/libvirt/libvirt-sock", "/var/run/libvirt/libvirt-sock",
	}
	session := []string{"/run/user/1000/libvirt/virtqemud-sock", "/run/user/1000/libvirt/libvirt-sock"}
	for uri, want := range map[string]address{
		"qemu:///system":                           {"qemu:///system", system},
		"qemu+unix:///system":                      {"qemu:///system", system},
		"qemu:///session":                          {"qemu:///session", session},
		"qemu+unix:///session":                     {"qemu:///session", session},
		"qemu+unix:///system?socket=/x/sock":       {"qemu:///system", []string{"/x/sock"}},
		"qemu:///system?socket=/x/sock":            {"qemu:///system", []string{"/x/sock"}},
		"qemu+unix:///session?socket=/a%20b%3fc/s": {"qemu:///session", []string{"/a b?c/s"}},
	} {
		got, err := parseURI(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
		}
		if diff := cmp.Diff(want, got, cmp.AllowUnexported(address{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uri, diff)
		}
	}
}

func TestParseURISessionWithoutRuntimeDir(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "")
	t.Setenv("XDG_CACHE_HOME", "")
	t.Setenv("HOME", "/home/u")
	got, err := parseURI("qemu:///session")
	want := []string{"/home/u/.cache/libvirt/virtqemud-sock", "/home/u/.cache/libvirt/libvirt-sock"}
	if err != nil || !cmp.Equal(want, got.sockets) {
		t.Errorf("got %q, %v, want %q", got.sockets, err, want)
	}
}

func TestParseURIRefused(t *testing.T) {
	for uri, remote := range map[string]bool{
		"qemu+ssh://root@kvm1/system":       true,
		"qemu+ssh:///system":                true,
		"qemu+tcp://192.0.2.1/system":       true,
		"qemu+tls://kvm1/system":            true,
		"qemu://kvm1/system":                true,
		"qemu+unix://kvm1/system":           true,
		"qemu+libssh2://kvm1/system":        true,
		"test:///default":                   false,
		"xen:///system":                     false,
		"qemu:///embed?root=/x":             false,
		"qemu:///":                          false,
		"qemu:///system/":                   false,
		"system":                            false,
		"qemu:///system?mode=legacy":        false,
		"qemu:///system?socket=":            false,
		"qemu:///system?socket=/a&socket=b": false,
		"qemu:///system?socket=%zz":         false,
		"qemu://[/system":                   false,
	} {
		got, err := parseURI(uri)
		if err == nil || errors.Is(err, ErrRemote) != remote {
			t.Errorf("%s: got %+v, %v; want ErrRemote: %v", uri, got, err, remote)
			continue
		}
		if remote && !strings.Contains(Hint(err), "run virt-mtu there") {
			t.Errorf("%s: hint %q", uri, Hint(err))
		}
	}
}

// The modular daemon's socket wins if it is there, even dead: what virsh connects
// to is what this package connects to.
func TestSocketSearch(t *testing.T) {
	dir := t.TempDir()
	a := address{sockets: socketsIn(dir)}
	if _, err := a.socket(); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), filepath.Join(dir, "virtqemud-sock")) {
		t.Errorf("none there: %v", err)
	}
	for _, name := range []string{"libvirt-sock", "virtqemud-sock"} {
		want := filepath.Join(dir, name)
		if err := os.WriteFile(want, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if got, err := a.socket(); got != want || err != nil {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
}

func TestDialDefaultURI(t *testing.T) {
	t.Setenv("LIBVIRT_DEFAULT_URI", "qemu+unix:///system?socket=/nonexistent/from-environment")
	for uri, want := range map[string]string{"": "from-environment", "qemu:///system?socket=/nonexistent/argument": "argument"} {
		_, err := Dial(context.Background(), uri, time.Second)
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", uri, err)
		}
	}
}

func TestDialWithoutDaemon(t *testing.T) {
	dir := t.TempDir()
	dead, full := filepath.Join(dir, "dead"), filepath.Join(dir, "full")
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dead})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()

	// A daemon that accepts nobody, its queue of one and a half connections full.
	fd, err := syscall.Socket(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer syscall.Close(fd)
	if err := errors.Join(syscall.Bind(fd, &syscall.SockaddrUnix{Name: full}), syscall.Listen(fd, 0)); err != nil {
		t.Fatal(err)
	}
	queued, err := net.Dial("unix", full)
	if err != nil {
		t.Fatal(err)
	}
	defer queued.Close()

	tests := []struct {
		name, path string
		want       error
		hint       string
	}{
		{"missing", filepath.Join(dir, "missing"), fs.ErrNotExist, "installed and running"},
		{"dead", dead, syscall.ECONNREFUSED, "nothing listens"},
		{"full", full, syscall.EAGAIN, "takes no connections"},
	}
	for _, tt := range tests {
		_, err := Dial(context.Background(), "qemu:///system?socket="+tt.path, time.Second)
		if !errors.Is(err, tt.want) || !strings.Contains(err.Error(), tt.path) {
			t.Errorf("%s: %v", tt.name, err)
		}
		if !strings.Contains(Hint(err), tt.hint) {
			t.Errorf("%s: hint %q", tt.name, Hint(err))
		}
	}
}
