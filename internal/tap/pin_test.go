package tap

import (
	"errors"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/test/netns"
)

// What a port of 1500 does to a bridge of 9000 that is pinned, that only looks so,
// and that is not.
func TestIntegrationPin(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		for _, tt := range []struct {
			name    string
			prepare func(t *testing.T)
			want    int
		}{
			{"not pinned", func(t *testing.T) {}, 1500},
			{"set to what it has", func(t *testing.T) { netns.IP(t, "link set br0 mtu 9000") }, 1500},
			{"pinned", func(t *testing.T) {
				if err := Pin("br0", 9000, &sync.Mutex{}); err != nil {
					t.Fatal(err)
				}
				wantMTU(t, "br0", 9000)
			}, 9000},
			{"pinned twice", func(t *testing.T) {
				if err := errors.Join(Pin("br0", 9000, &sync.Mutex{}), Pin("br0", 9000, &sync.Mutex{})); err != nil {
					t.Fatal(err)
				}
			}, 9000},
		} {
			t.Run(tt.name, func(t *testing.T) {
				netns.IP(t, `
					link add br0 type bridge
					link add up0 mtu 9000 type veth peer name up1
					link set up0 master br0
					tuntap add vnet0 mode tap`)
				wantMTU(t, "br0", 9000)
				tt.prepare(t)
				netns.IP(t, "link set vnet0 master br0")
				wantMTU(t, "br0", tt.want)
				netns.IP(t, "link del vnet0; link del up0; link del br0")
			})
		}
	})
}

func TestIntegrationPinAtTheEnds(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		for _, size := range []int{maxBridgeMTU, maxBridgeMTU - 1, MinMTU} {
			netns.IP(t, "link add br0 type bridge")
			setMTU(t, "br0", size)
			if err := Pin("br0", size, &sync.Mutex{}); err != nil {
				t.Error(err)
			}
			wantMTU(t, "br0", size)
			netns.IP(t, "link del br0")
		}
	})
}

func TestIntegrationPinGuards(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "link add br0 type bridge; tuntap add vnet0 mode tap; link set vnet0 master br0; link add up0 type veth peer name up1")
		for name, want := range map[string]error{
			"vnet0": ErrNotBridge, "up0": ErrNotBridge, "lo": ErrNotBridge, "nosuch": ErrNotBridge,
			"../net/br0": ErrGone, "": ErrGone, ".": ErrGone, "br0/": ErrGone, "br0:1": ErrGone,
		} {
			if err := Pin(name, 1500, &sync.Mutex{}); !errors.Is(err, want) {
				t.Errorf("%q: error %v, want %v", name, err, want)
			}
		}
		if err := Pin("br0", 9000, &sync.Mutex{}); !errors.Is(err, ErrMoved) {
			t.Errorf("to keep what it has not: error %v", err)
		}
		wantMTU(t, "br0", 1500)
	})
}

// Guests that start together pin their bridge together: none may take another's
// odd value for the bridge's own.
func TestIntegrationPinWaits(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, "link add br0 type bridge")
		unlock, err := lockBridge("br0", unix.LOCK_EX) // as another Pin does
		if err != nil {
			t.Fatal(err)
		}
		setMTU(t, "br0", 1501)
		if mtu, err := BridgeMTU("br0"); err == nil {
			t.Errorf("read %d in the middle of it", mtu)
		}
		done := make(chan error)
		go func() { done <- Pin("br0", 1500, &sync.Mutex{}) }()
		select {
		case err := <-done:
			t.Fatalf("did not wait: %v", err)
		case <-time.After(50 * time.Millisecond):
		}
		setMTU(t, "br0", 1500)
		unlock()
		if err := <-done; err != nil {
			t.Error(err)
		}
		wantMTU(t, "br0", 1500)
		if mtu, err := BridgeMTU("br0"); mtu != 1500 || err != nil {
			t.Errorf("then read %d, %v", mtu, err)
		}
	})
}

func setMTU(t *testing.T, name string, mtu int) {
	t.Helper()
	l, err := openLink(name)
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	if err := l.setMTU(mtu); err != nil {
		t.Fatal(err)
	}
}
