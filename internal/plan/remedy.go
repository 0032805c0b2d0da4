package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/host"
)

// A remedy is lines to paste. One that begins with # is to be read: what else could be
// done, what comes before, what has to be done elsewhere.

// setMTU gives a link an MTU now.
func setMTU(link string, mtu int) string {
	return fmt.Sprintf("ip link set dev %s mtu %d", Quoted(link), mtu)
}

// setPort asks Open vSwitch to give a port an MTU.
func setPort(port string, mtu int) string {
	return fmt.Sprintf("ovs-vsctl set interface %s mtu_request=%d", Quoted(port), mtu)
}

// set gives a link an MTU now, and says where it is kept over a reboot. What Open
// vSwitch holds it sets itself: it undoes whatever is set behind its back.
func (t *Topology) set(l host.Link, mtu int) string {
	if p, ok := t.plugs[l.Name]; ok && (p.MTURequest != 0 || p.Type == "internal") {
		return setPort(l.Name, mtu)
	}
	return join("\n", setMTU(l.Name, mtu), lasting(l, mtu))
}

// lasting says where the MTU of a link is kept over a reboot; empty for a link that
// nobody configures.
func lasting(l host.Link, mtu int) string {
	if l.Tap || l.Kind == "veth" && l.Manager == "" {
		return ""
	}
	format, ok := managers[l.Manager]
	if !ok {
		return fmt.Sprintf("# to last: mtu %d for %s, where this host configures its links", mtu, printable(l.Name))
	}
	// netplan's key has dots between its parts.
	key := fmt.Sprintf("%s.%s.mtu=%d", netplanSection(l.Kind), strings.ReplaceAll(l.Name, ".", `\.`), mtu)
	return strings.NewReplacer("{key}", Quoted(key), "{link}", Quoted(l.Name), "{name}", printable(l.Name), "{mtu}", fmt.Sprint(mtu)).Replace(format)
}

// managers are the lines that keep an MTU, by what configures a link.
var managers = map[string]string{
	"netplan":        "netplan set {key} && netplan apply # to last",
	"networkmanager": `nmcli connection modify "$(nmcli -g GENERAL.CONNECTION device show {link})" 802-3-ethernet.mtu {mtu} # to last`,
	"networkd":       "# to last: under [Link] in the .network file of {name}: MTUBytes={mtu}; then networkctl reload",
	"ifupdown":       "# to last: below `iface {name} inet ...` in /etc/network/interfaces: mtu {mtu}",
	"ifcfg":          "# to last: in /etc/sysconfig/network-scripts/ifcfg-{name}: MTU={mtu}",
}

func netplanSection(kind string) string {
	switch {
	case kind == "bridge":
		return "bridges"
	case kind == "bond":
		return "bonds"
	case kind == "vlan":
		return "vlans"
	case tunnels[kind]:
		return "tunnels"
	}
	return "ethernets"
}

// mostLayers bounds what a remedy goes through; nobody has as many.
const mostLayers = 16

// raise is how a link comes to carry an MTU: what lies under it first, from the wire
// in, for the kernel takes no VLAN above its device.
func (t *Topology) raise(name string, to int) string {
	return t.raiseUnder(name, to, map[string]bool{})
}

func (t *Topology) raiseUnder(name string, to int, seen map[string]bool) string {
	l, ok := t.link(name)
	if !ok || seen[name] || len(seen) == mostLayers {
		return ""
	}
	seen[name] = true
	var lines []string
	switch {
	case l.Kind == "vlan":
		need := to
		if under, _ := t.link(l.Lower); tagged(under) {
			need += encap.VLANTag // hardware has room for one tag beyond its MTU, not for two
		}
		lines = append(lines, t.raiseUnder(l.Lower, need, seen))
	case l.Kind == "macsec":
		cost, _ := encap.Tunnel(l.Kind, false, 4, 0)
		lines = append(lines, t.raiseUnder(l.Lower, to+cost.Bytes, seen))
	case stacked[l.Kind]:
		lines = append(lines, t.raiseUnder(l.Lower, to, seen))
	case l.Tunnel != nil:
		cost, ok := encap.Tunnel(l.Kind, l.Tunnel.Key, l.Tunnel.Family, l.Tunnel.OptionBytes)
		if !ok {
			break
		}
		for _, r := range l.Tunnel.Remotes {
			if r.MTU != 0 && r.MTU < to+cost.Bytes {
				lines = append(lines, fmt.Sprintf("# the route to %s has mtu %d: ip route change ... mtu %d", printable(r.Address), r.MTU, to+cost.Bytes))
			}
			lines = append(lines, t.raiseUnder(r.Underlay, to+cost.Bytes, seen))
		}
	}
	if l.MTU < to || len(t.low(l, to)) > 0 {
		lines = append(lines, t.set(l, to)) // a bond takes its members along
	}
	return join("\n", lines...)
}

// tagged reports whether what sits on a link has a VLAN tag beside its own already, or
// no hardware under it to carry one.
func tagged(l host.Link) bool { return l.Kind == "vlan" || tunnels[l.Kind] || l.Kind == "macsec" }

// low are the members of a bond that are below an MTU.
func (t *Topology) low(l host.Link, mtu int) []host.Link {
	var low []host.Link
	if aggregates[l.Kind] {
		for _, m := range t.portsOf(l.Name) {
			if m.MTU < mtu {
				low = append(low, m)
			}
		}
	}
	return low
}

// instead is a remedy with another beside it, which is not to be pasted along.
func instead(remedy, or, other string) string {
	if remedy == "" {
		return other
	}
	if other == "" {
		return remedy
	}
	return remedy + "\n# or " + or + ":\n# " + strings.ReplaceAll(other, "\n", "\n# ")
}

// overlayRemedy is for a link that has more than what lies under it leaves. To lower
// it takes nothing away: what is larger vanishes already.
func (t *Topology) overlayRemedy(l host.Link, c Carry) string {
	lower := "# lower it, and before it the guests, taps and bridge on it:\n" + t.set(l, c.Below)
	return instead(lower, "raise what is under it, where every switch on the way carries that", t.raise(l.Name, l.MTU))
}
