package libvirt

import (
	"fmt"
	"net/netip"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Lease is an address that libvirt's own DHCP server has given to a NIC.
type Lease struct {
	Addr netip.Addr
	MAC  string
}

// maxLeases bounds what is believed of one domain: its guest may ask for as many as its
// network has.
const maxLeases = 64

// Leases returns the addresses that a running domain has from libvirt's networks.
func (c *Conn) Leases(d Domain) ([]Lease, error) {
	var raw []golibvirt.DomainInterface
	err := c.call(func() (err error) {
		raw, err = c.rpc.DomainInterfaceAddresses(d.raw(), uint32(golibvirt.DomainInterfaceAddressesSrcLease), 0)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read DHCP leases of domain %q: %w", d.Name, err)
	}
	var all []Lease
	for _, i := range raw {
		mac := ""
		if len(i.Hwaddr) > 0 {
			mac = i.Hwaddr[0]
		}
		for _, a := range i.Addrs {
			if addr, err := netip.ParseAddr(a.Addr); err == nil && len(all) < maxLeases {
				all = append(all, Lease{addr, mac})
			}
		}
	}
	return all, nil
}
