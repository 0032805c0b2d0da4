package libvirt

import (
	"fmt"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Hostname returns what the daemon's host calls itself.
func (c *Conn) Hostname() (string, error) {
	var name string
	err := c.call(func() (err error) {
		name, err = c.rpc.ConnectGetHostname()
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read host name: %w", err)
	}
	return name, nil
}

// Interface returns libvirt's XML of a link of the host, of a bridge with its ports.
// ErrNotFound: there is none of that name.
func (c *Conn) Interface(name string) (string, error) {
	var xml string
	err := c.call(func() error {
		i, err := c.rpc.InterfaceLookupByName(name)
		if err == nil {
			xml, err = c.rpc.InterfaceGetXMLDesc(i, 0)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read interface %q: %w", name, err)
	}
	return xml, nil
}

// NetDevices returns the names of the host's node devices that are links:
// "net_eth0_52_54_00_00_00_01".
func (c *Conn) NetDevices() ([]string, error) {
	var raw []golibvirt.NodeDevice
	err := c.call(func() (err error) {
		raw, _, err = c.rpc.ConnectListAllNodeDevices(1, uint32(golibvirt.ConnectListNodeDevicesCapNet))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list node devices: %w", err)
	}
	names := make([]string, len(raw))
	for i, d := range raw {
		names[i] = d.Name
	}
	return names, nil
}

// NetDevice returns the XML of a node device. ErrNotFound where it is gone.
func (c *Conn) NetDevice(name string) (string, error) {
	var xml string
	err := c.call(func() (err error) {
		xml, err = c.rpc.NodeDeviceGetXMLDesc(name, 0)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read node device %q: %w", name, err)
	}
	return xml, nil
}
