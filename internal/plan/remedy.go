package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/host"
)

// setLink is what to paste to give a link an MTU now, and what to write where it has
// to last.
func setLink(l host.Link, mtu int) string {
	now := fmt.Sprintf("ip link set dev %s mtu %d", ShellWord(l.Name), mtu)
	if last := lasting(l, mtu); last != "" {
		now += "\n" + last
	}
	return now
}

// lasting says where the MTU of a link is kept over a reboot; empty for a link that
// nobody configures.
func lasting(l host.Link, mtu int) string {
	if l.Tap || l.Kind == "veth" && l.Manager == "" {
		return ""
	}
	format, ok := managers[l.Manager]
	if !ok {
		return fmt.Sprintf("# to last: mtu %d for %s, where this host configures its links", mtu, l.Name)
	}
	return strings.NewReplacer("{name}", l.Name, "{section}", netplanSection(l.Kind), "{mtu}", fmt.Sprint(mtu)).Replace(format)
}

// managers are the lines that keep an MTU, by what configures a link. A line that
// begins with # is to be read, the others can be pasted.
var managers = map[string]string{
	"netplan":        "netplan set {section}.{name}.mtu={mtu} && netplan apply # to last",
	"networkmanager": `nmcli connection modify "$(nmcli -g GENERAL.CONNECTION device show {name})" 802-3-ethernet.mtu {mtu} # to last`,
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

// overlayRemedy is for a link that has more than what lies under it leaves: to lower
// it, or to raise what is under it.
func (t *Topology) overlayRemedy(l host.Link, c Carry) string {
	text := "# either lower the overlay (then its bridge, its taps and guests before it):\n" + setLink(l, c.Below)
	more := l.MTU - c.Below
	for _, u := range t.under(l) {
		text += "\n# or, where every switch on the way carries it, raise what is under it first:\n" + setLink(u, u.MTU+more)
		break
	}
	return text
}

// under are the links that one sits on.
func (t *Topology) under(l host.Link) []host.Link {
	var names []string
	if l.Lower != "" {
		names = append(names, l.Lower)
	}
	if l.Tunnel != nil {
		for _, r := range l.Tunnel.Remotes {
			names = append(names, r.Underlay)
		}
	}
	var out []host.Link
	for _, n := range names {
		if u, ok := t.link(n); ok {
			out = append(out, u)
		}
	}
	return out
}
