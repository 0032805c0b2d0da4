package tap

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"virt-mtu/test/netns"
)

// mtu is what sysfs says, in bytes of IP packet.
func mtu(t *testing.T, link string) int {
	t.Helper()
	text, err := os.ReadFile("/sys/class/net/" + link + "/mtu")
	if err != nil {
		t.Fatal(err)
	}
	var n int
	if _, err := fmt.Sscan(string(text), &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func wantMTU(t *testing.T, link string, want int) {
	t.Helper()
	if got := mtu(t, link); got != want {
		t.Errorf("%s has mtu %d, want %d", link, got, want)
	}
}

func TestIntegrationRaiseGuards(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, `
			link add br0 type bridge
			link add br1 type bridge
			tuntap add vnet0 mode tap
			link set vnet0 master br0
			tuntap add vnet1 mode tap
			link set vnet1 master br1
			tuntap add loose mode tap
			tuntap add tun0 mode tun
			link add up0 type veth peer name up1
			link set up0 master br0
			link add mt0 link up1 type macvtap
			link property add dev vnet0 altname other`)
		links := []string{"br0", "br1", "vnet0", "vnet1", "loose", "tun0", "up0", "up1", "mt0"}

		for _, tt := range []struct {
			name, dev, bridge string
			want              error
		}{
			{"an uplink", "up0", "br0", ErrNotTap},
			{"the bridge itself", "br0", "br0", ErrNotTap},
			{"a macvtap", "mt0", "up1", ErrNotTap},
			{"a tun in TUN mode", "tun0", "br0", ErrNotTap},
			{"an alternative name", "other", "br0", ErrNotTap},
			{"a tap of another bridge", "vnet1", "br0", ErrNotPort},
			{"a tap of no bridge", "loose", "br0", ErrNotPort},
			{"a tap of no bridge, none named", "loose", "", ErrNotPort},
			{"a bridge that is none", "vnet0", "up0", ErrNotPort},
			{"a path for a bridge", "vnet0", "../br0", ErrNotPort},
			{"nothing", "nosuch", "br0", ErrGone},
			{"a path", "../../x", "br0", ErrGone},
			{"a path to a tap", "../net/vnet0", "br0", ErrGone},
			{"a path within", "vnet0/.", "br0", ErrGone},
			{"a label", "vnet0:1", "br0", ErrGone},
			{"a cut name", "vnet0\x00x", "br0", ErrGone},
			{"no name", "", "br0", ErrGone},
			{"dots", "..", "br0", ErrGone},
			{"too long a name", strings.Repeat("v", 16), "br0", ErrGone},
		} {
			t.Run(tt.name, func(t *testing.T) {
				if _, err := Raise(tt.dev, tt.bridge, 9000); !errors.Is(err, tt.want) {
					t.Errorf("error %v, want %v", err, tt.want)
				}
			})
		}
		for _, size := range []int{-1, 0, 67, 65522, 1 << 32} {
			if _, err := Raise("vnet0", "br0", size); err == nil || !strings.Contains(err.Error(), "68 to 65521") {
				t.Errorf("mtu %d: error %v", size, err)
			}
		}
		for _, l := range links {
			wantMTU(t, l, 1500)
		}
	})
}

func TestIntegrationRaise(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, `
			link add br0 type bridge
			link add up0 mtu 9000 type veth peer name up1 mtu 9000
			link set up0 master br0
			tuntap add vnet0 mode tap
			link set vnet0 master br0`)
		wantMTU(t, "br0", 1500) // dragged down by the tap
		for _, step := range []struct{ to, before, after int }{
			{1499, 1500, 1500}, // never lowered
			{1500, 1500, 1500},
			{9000, 1500, 9000},
			{9000, 9000, 9000},
			{MinMTU, 9000, 9000},
		} {
			before, err := Raise("vnet0", "br0", step.to)
			if err != nil || before != step.before {
				t.Errorf("raise to %d: before %d, %v; want %d", step.to, before, err, step.before)
			}
			wantMTU(t, "vnet0", step.after)
		}
		wantMTU(t, "br0", 9000) // and up again with it

		if before, err := Raise("vnet0", "br0", MaxMTU); err != nil || before != 9000 {
			t.Errorf("to the maximum: before %d, %v", before, err)
		}
		wantMTU(t, "vnet0", MaxMTU)
		wantMTU(t, "br0", 9000)
	})
}
