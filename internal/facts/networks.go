package facts

import (
	"errors"
	"fmt"

	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
)

// Networks reads libvirt's networks; nil where it has no say in them. What cannot be
// read is left out, and in the error.
func Networks(c *libvirt.Conn) ([]host.Network, error) {
	all, err := c.Networks()
	if err != nil || all == nil {
		return nil, err
	}
	networks := []host.Network{}
	for _, n := range all {
		parsed, perr := host.ParseNetwork([]byte(n.XML))
		if perr != nil {
			err = errors.Join(err, fmt.Errorf("read network %q: %w", n.Name, perr))
			continue
		}
		parsed.Inactive = !n.Active
		if n.Active && n.Definition != "" {
			definition, perr := host.ParseNetwork([]byte(n.Definition))
			if perr == nil {
				parsed.Redefine(definition)
			} else {
				err = errors.Join(err, fmt.Errorf("read definition of network %q: %w", n.Name, perr))
			}
		}
		networks = append(networks, parsed)
	}
	return networks, err
}
