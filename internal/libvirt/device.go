package libvirt

import (
	"fmt"
	"time"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// plugging is how long libvirt may take over a device of a running domain, at least: it
// waits up to 30 s for the domain's lock, and 5 s for the guest to let a device go.
const plugging = time.Minute

// Detach asks a running domain to let go of a device, given by its XML in the running
// domain. That libvirt returns does not say that it is gone: the guest may take its
// time, or never do it. The definition is not changed.
//
// After ErrTimeout or ErrLost it is not known whether libvirt did it, or still will.
func (c *Conn) Detach(d Domain, xml string) error {
	err := c.callWithin(max(c.timeout, plugging), func() error {
		return c.rpc.DomainDetachDeviceFlags(d.raw(), xml, uint32(golibvirt.DomainDeviceModifyLive))
	})
	if err != nil {
		return fmt.Errorf("detach device from domain %q: %w", d.Name, err)
	}
	return nil
}

// Attach plugs a device into a running domain. The definition is not changed.
//
// After ErrTimeout or ErrLost it is not known whether libvirt did it, or still will.
func (c *Conn) Attach(d Domain, xml string) error {
	err := c.callWithin(max(c.timeout, plugging), func() error {
		return c.rpc.DomainAttachDeviceFlags(d.raw(), xml, uint32(golibvirt.DomainDeviceModifyLive))
	})
	if err != nil {
		return fmt.Errorf("attach device to domain %q: %w", d.Name, err)
	}
	return nil
}
