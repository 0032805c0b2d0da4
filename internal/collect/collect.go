package collect

import (
	"fmt"
	"os"

	"virt-mtu/internal/host"
)

// Read reads the network of this host, as far as this network namespace shows it,
// all but libvirt's networks. What could not be read is missing, and Unread says so;
// not of what configures links, which is advice.
func Read() host.Snapshot {
	var s host.Snapshot
	unread := func(what string, errs ...error) {
		for _, err := range errs {
			if err != nil {
				s.Unread = append(s.Unread, fmt.Sprintf("%s: %v", what, err))
			}
		}
	}
	s.Host, _ = os.Hostname()

	links, err := dumpLinks()
	unread("links", err)
	unpinned(links)
	unread("drivers of links", unnamed(links))
	names(links)
	unread("forwarding entries of vxlan links", remotesOfFDB(links))
	for i := range links {
		if l := &links[i]; l.Kind == "wireguard" {
			unread("peers of "+l.Name, endpoints(l))
		}
	}
	routes := newRoutes(links)
	resolve(links, routes)
	s.OVS, err = readOVS(links, routes)
	unread("Open vSwitch", err)
	var errs []error
	s.PCI, errs = readPCI(links)
	unread("PCI devices", errs...)

	m := newManagers()
	for i := range links {
		links[i].Manager = m.of(&links[i])
	}

	s.Links = make([]host.Link, len(links))
	for i := range links {
		s.Links[i] = links[i].Link
	}
	return s
}
