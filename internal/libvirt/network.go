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
	UUID   string // canonical: lower case, hyphens
	Active bool
	// XML as the network runs; of one that does not, its definition.
	XML string
	// Definition is the XML that its next start goes by; empty for a transient network,
	// which has none.
	Definition string
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
		n, err := c.network(r)
		if errors.Is(err, ErrNotFound) {
			continue // removed since it was listed
		}
		if err != nil {
			return nil, err
		}
		networks = append(networks, n)
	}
	slices.SortFunc(networks, func(a, b Network) int { return cmp.Compare(a.Name, b.Name) })
	return networks, nil
}

// Network returns the network with that name or, where no network has it, with that
// UUID. ErrNotFound where there is neither.
func (c *Conn) Network(nameOrUUID string) (Network, error) {
	var raw golibvirt.Network
	err := c.call(func() (err error) {
		raw, err = c.rpc.NetworkLookupByName(nameOrUUID)
		return err
	})
	if _, ok := parseUUID(nameOrUUID); ok && errors.Is(err, ErrNotFound) {
		return c.NetworkByUUID(nameOrUUID)
	}
	if err != nil {
		return Network{}, fmt.Errorf("look up network %q: %w", nameOrUUID, err)
	}
	return c.network(raw)
}

// NetworkByUUID returns the network with that UUID, never another that is called so.
// ErrNotFound where there is none.
func (c *Conn) NetworkByUUID(s string) (Network, error) {
	uuid, ok := parseUUID(s)
	if !ok {
		return Network{}, fmt.Errorf("look up network %q: not a UUID", s)
	}
	var raw golibvirt.Network
	err := c.call(func() (err error) {
		raw, err = c.rpc.NetworkLookupByUUID(uuid)
		return err
	})
	if err != nil {
		return Network{}, fmt.Errorf("look up network %q: %w", s, err)
	}
	return c.network(raw)
}

// network reads one network. It takes several calls: one that starts or stops meanwhile
// may show a bit of both.
func (c *Conn) network(raw golibvirt.Network) (Network, error) {
	n := Network{Name: raw.Name, UUID: hyphened(raw.UUID)}
	var active, persistent int32
	err := c.call(func() (err error) {
		if active, err = c.rpc.NetworkIsActive(raw); err != nil {
			return err
		}
		if persistent, err = c.rpc.NetworkIsPersistent(raw); err != nil {
			return err
		}
		if n.XML, err = c.rpc.NetworkGetXMLDesc(raw, 0); err != nil || persistent == 0 {
			return err
		}
		n.Definition, err = c.rpc.NetworkGetXMLDesc(raw, uint32(golibvirt.NetworkXMLInactive))
		return err
	})
	if err != nil {
		return Network{}, fmt.Errorf("read network %q: %w", raw.Name, err)
	}
	n.Active = active != 0
	return n, nil
}

// DefineNetwork puts a network's definition in the place of the one with its UUID. One
// that runs goes on as it is; its next start goes by it. libvirt compares nothing: what
// somebody else has defined since it was read is lost.
//
// After ErrTimeout or ErrLost it is not known whether libvirt did it, or still will.
func (c *Conn) DefineNetwork(xml string) error {
	err := c.call(func() error {
		_, err := c.rpc.NetworkDefineXML(xml)
		return err
	})
	if err != nil {
		return fmt.Errorf("define network: %w", err)
	}
	return nil
}
