package facts

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/libvirt"
)

// nowhere is a pool of connections to a libvirt that is not there.
func nowhere(t *testing.T) *libvirt.Pool {
	t.Helper()
	return libvirt.NewPool(t.Context(), "qemu+unix:///system?socket="+t.TempDir()+"/sock", time.Second)
}

// TestGatherWithoutLibvirt: the rest is there. What Gather does with a real libvirt is in
// test/e2e.
func TestGatherWithoutLibvirt(t *testing.T) {
	missing := []finding.Finding{finding.New(finding.HookMissing, "it is not there", "")}
	broken := errors.New("broken\nhook")
	f, err := Gather(t.Context(), Options{
		Pool: nowhere(t), Names: []string{"web1"},
		Hook: func(version uint64) ([]finding.Finding, error) {
			if version != 0 {
				t.Errorf("libvirt that is not there has version %d", version)
			}
			return missing, broken
		},
	})
	if !errors.Is(err, fs.ErrNotExist) || !errors.Is(err, broken) || libvirt.Hint(err) == "" {
		t.Errorf("error: %v", err)
	}
	if lo, ok := f.Link("lo"); f.Version != Version || f.Host == "" || !ok || lo.Index != 1 {
		t.Errorf("version %d, host %q, lo %+v", f.Version, f.Host, lo)
	}
	if diff := cmp.Diff(missing, f.Hook); diff != "" {
		t.Errorf("hook (-want +got):\n%s", diff)
	}
	if n := len(f.Unread); n < 3 || !strings.Contains(f.Unread[n-3], "connect to libvirt: ") || !slices.Equal(f.Unread[n-2:], []string{"broken", "hook"}) {
		t.Errorf("unread: %q", f.Unread)
	}
	if len(f.Domains) != 0 || len(f.Networks) != 0 {
		t.Errorf("domains %v, networks %v", f.Domains, f.Networks)
	}
}

func TestGatherInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	f, err := Gather(ctx, Options{Pool: nowhere(t)})
	if diff := cmp.Diff(Facts{}, f); !errors.Is(err, context.Canceled) || diff != "" {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
