package libvirt

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Network is one libvirt network.
type Network struct {
	Name   string
	Active bool
	// XML as the network runs; of one that does not, its definition.
	XML string
}

// Networks returns all networks, active or not, by name; nil where the daemon
// has no network driver.
func (c *Conn) Networks() ([]Network, error) {
	var raw []golibvirt.Network
	err := c.call(func() (err error) {
		raw, _, err = c.rpc.ConnectListAllNetworks(1, 0)
		return err
	})
	if hasCode(err, golibvirt.ErrNoSupport) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	networks := []Network{}
	for _, r := range raw {
		var active int32
		var xml string
		err := c.call(func() (err error) {
			if active, err = c.rpc.NetworkIsActive(r); err != nil {
				return err
			}
			xml, err = c.rpc.NetworkGetXMLDesc(r, 0)
			return err
		})
		if errors.Is(err, ErrNotFound) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, fmt.Errorf("read network %q: %w", r.Name, err)
		}
		networks = append(networks, Network{Name: r.Name, Active: active != 0, XML: xml})
	}
	slices.SortFunc(networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return networks, nil
}
