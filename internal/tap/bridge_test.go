package tap

import (
	"errors"
	"os"
	"strings"
	"testing"

	"virt-mtu/test/netns"
)

func TestIntegrationSetBridge(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		netns.IP(t, `
			link add br0 type bridge
			link add up0 type veth peer name up1
			link set up0 master br0
			tuntap add vnet0 mode tap`)
		address, err := os.ReadFile(sysNet + "br0/address")
		if err != nil {
			t.Fatal(err)
		}
		mac := strings.ToUpper(strings.TrimSpace(string(address)))
		for _, tt := range []struct {
			what, bridge, mac string
			mtu               int
			lower             bool
			err               error
			want              int
		}{
			{"a tap", "vnet0", "", 9000, false, ErrNotBridge, 1500},
			{"a veth", "up1", "", 9000, false, ErrNotBridge, 1500},
			{"nothing", "br7", "", 9000, false, ErrGone, 1500},
			{"no name", "../br0", "", 9000, false, ErrGone, 1500},
			{"another's", "br0", "52:54:00:00:00:01", 9000, false, ErrOtherBridge, 1500},
			{"raised", "br0", mac, 9000, false, nil, 9000},
			{"not lowered", "br0", mac, 4000, false, nil, 9000},
			{"lowered", "br0", "", 4000, true, nil, 4000},
		} {
			if _, err := SetBridge(tt.bridge, tt.mac, tt.mtu, tt.lower); !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", tt.what, err)
			}
			wantMTU(t, "br0", tt.want)
		}
		for _, mtu := range []int{67, 65536} {
			if _, err := SetBridge("br0", "", mtu, true); err == nil {
				t.Errorf("took %d", mtu)
			}
		}
		netns.IP(t, "link set vnet0 master br0") // it is pinned: the port does not drag it down
		wantMTU(t, "br0", 4000)
		wantMTU(t, "vnet0", 1500)
	})
}
