package ovs

import (
	"os"
	"strings"
	"testing"

	"virt-mtu/test/netns"
)

func TestIntegrationStart(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		Start(t)
		Vsctl(t, "add-br ovs0 -- set bridge ovs0 datapath_type=netdev -- set interface ovs0 mtu_request=9000")
		mtu, err := os.ReadFile("/sys/class/net/ovs0/mtu")
		if err != nil || strings.TrimSpace(string(mtu)) != "9000" {
			t.Errorf("the MTU of its bridge: %q, %v", mtu, err)
		}
		if got := Vsctl(t, "list-br"); got != "ovs0\n" {
			t.Errorf("bridges: %q", got)
		}
	})
}
