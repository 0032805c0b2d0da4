package facts

import (
	"fmt"
	"math"

	"virt-mtu/internal/host"
)

// checkNumbers refuses MTUs that no link can have: they would become part of a remedy.
func checkNumbers(f *Facts) error {
	c := numbers{}
	for i, l := range f.Links {
		c.mtu(l.MTU, "links[%d].mtu", i)
		c.tunnel(l.Tunnel, "links[%d].tunnel", i)
	}
	for i, n := range f.Networks {
		c.mtu(n.MTU, "networks[%d].mtu", i)
		c.mtu(n.DefinedMTU, "networks[%d].defined_mtu", i)
		c.mtu(n.DHCPMTU, "networks[%d].dhcp_mtu", i)
		c.mtu(n.RouterMTU, "networks[%d].router_mtu", i)
	}
	for i, d := range f.Domains {
		for _, g := range d.Guests {
			c.mtu(g.MTU, "domains[%d].guests: mtu", i)
		}
	}
	if f.OVS == nil {
		return c.err
	}
	for i, b := range f.OVS.Bridges {
		for _, p := range b.Ports {
			for _, x := range p.Interfaces {
				c.mtu(x.MTU, "ovs.bridges[%d]: mtu of a port", i)
				c.mtu(x.MTURequest, "ovs.bridges[%d]: mtu_request of a port", i)
				c.tunnel(x.Tunnel, "ovs.bridges[%d]: tunnel of a port", i)
			}
		}
	}
	return c.err
}

// numbers keeps the first that is out of bounds.
type numbers struct{ err error }

func (c *numbers) mtu(n int, where string, i int) {
	if (n < 0 || n > math.MaxInt32) && c.err == nil {
		c.err = fmt.Errorf("%s is %d, which no MTU can be", fmt.Sprintf(where, i), n)
	}
}

func (c *numbers) tunnel(t *host.Tunnel, where string, i int) {
	if t == nil {
		return
	}
	// Below 0 is for headers that have less than usual.
	if (t.OptionBytes < -64 || t.OptionBytes > 1024) && c.err == nil {
		c.err = fmt.Errorf("%s: option_bytes is %d, which no header has", fmt.Sprintf(where, i), t.OptionBytes)
	}
	for _, r := range t.Remotes {
		c.mtu(r.MTU, where+": mtu of a route", i)
	}
}
