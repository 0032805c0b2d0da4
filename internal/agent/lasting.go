package agent

import (
	"fmt"
	"slices"
	"strings"
)

// keepers are what may configure a Linux guest's network: by which path it shows
// itself, and what to do there. %[1]s is the interface, %[2]d the MTU.
var keepers = []struct{ path, advice string }{
	{"/etc/netplan", "netplan set ethernets.%[1]s.mtu=%[2]d"},
	{"/usr/bin/nmcli", "nmcli connection modify \"$(nmcli -g GENERAL.CONNECTION device show %[1]s)\" 802-3-ethernet.mtu %[2]d"},
	{"/run/systemd/netif/links", "MTUBytes=%[2]d under [Link] of its .network file in /etc/systemd/network (systemd-networkd)"},
	{"/etc/sysconfig/network-scripts", "MTU=%[2]d in /etc/sysconfig/network-scripts/ifcfg-%[1]s"},
	{"/etc/sysconfig/network", "MTU=%[2]d in /etc/sysconfig/network/ifcfg-%[1]s"},
	{"/etc/network/interfaces", "mtu %[2]d under iface %[1]s in /etc/network/interfaces (ifupdown)"},
}

// linuxLasting goes by what the guest has; where it has nothing that is known, or does
// not say, by all.
func linuxLasting(g *Guest, l link, mtu int) string {
	args := []string{"-d"}
	for _, k := range keepers {
		args = append(args, k.path)
	}
	out, _ := g.run("ls", args...) // it exits with 1 for those that are not there
	there := strings.Fields(out)
	var found, all []string
	for _, k := range keepers {
		// SUSE's is a folder, where Red Hat has a file of that name.
		if k.path == "/etc/sysconfig/network" && slices.Contains(there, "/etc/sysconfig/network-scripts") {
			continue
		}
		text := fmt.Sprintf(k.advice, l.Name, mtu)
		all = append(all, text)
		if slices.Contains(there, k.path) {
			found = append(found, text)
		}
	}
	switch {
	case slices.Contains(there, keepers[0].path): // netplan writes for the others
		found = found[:1]
	case len(found) == 0:
		found = all
	}
	return strings.Join(found, "; or ")
}
