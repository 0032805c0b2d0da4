package fix

import (
	"fmt"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/tap"
)

// Host is the host that domains are on: what is known of it beside what libvirt tells, and
// the way to its links. There is none but by Here and There, so that nobody sees this
// host's links, or sets them, for the domains of another.
type Host struct {
	read  func() host.Snapshot
	links *links // nil: they are not ours to set
	name  string // of another host
}

// links sets the MTU of links, as the functions of package tap do.
type links struct {
	raise     func(dev, bridge string, mtu int) (before int, err error)
	setBridge func(bridge, mac string, mtu int, lower bool) (before int, err error)
}

// Here is the host that this runs on.
func Here() Host {
	return Host{read: collect.Read, links: &links{raise: tap.Raise, setBridge: tap.SetBridge}}
}

// There is another host, as it has been seen. Its taps and bridges are left alone.
func There(name string, seen host.Snapshot) Host {
	return Host{read: func() host.Snapshot { return seen }, name: name}
}

// elsewhere says how something is done that only virt-mtu on the host itself can do.
func (h *Host) elsewhere(command string) string {
	return fmt.Sprintf("it is set on the host that it is on: virt-mtu %s on %s", command, plan.Quoted(h.name))
}
