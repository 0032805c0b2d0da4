package plan

import (
	"maps"
	"slices"
	"sync"

	"virt-mtu/internal/host"
)

// Topology is a host's Snapshot, indexed, with what follows from it computed once:
// a host may have thousands of NICs on one bridge. The Snapshot must not change
// after. Several goroutines may use one Topology.
type Topology struct {
	host *host.Snapshot

	links    map[string]int   // index into host.Links
	ports    map[string][]int // by master
	networks map[string]int
	pci      map[string]int
	bridges  map[string]*host.OVSBridge
	plugs    map[string]plug // Open vSwitch's interfaces
	sockets  map[string]plug // the same by vhost-user socket
	patches  map[string]*host.OVSInterface
	carries  map[string]Carry

	mu       sync.Mutex
	segments map[string]Segment
	tails    map[string]*tail
	judged   map[string]bool // networks
}

// plug is an interface and the bridge of Open vSwitch that it is on.
type plug struct {
	*host.OVSInterface
	bridge string
	tag    int
}

// NewTopology indexes a Snapshot.
func NewTopology(s *host.Snapshot) *Topology {
	t := &Topology{
		host:     s,
		links:    make(map[string]int, len(s.Links)),
		ports:    map[string][]int{},
		networks: map[string]int{},
		pci:      map[string]int{},
		bridges:  map[string]*host.OVSBridge{},
		plugs:    map[string]plug{},
		sockets:  map[string]plug{},
		patches:  map[string]*host.OVSInterface{},
		carries:  map[string]Carry{},
		segments: map[string]Segment{},
		tails:    map[string]*tail{},
		judged:   map[string]bool{},
	}
	for i, l := range s.Links {
		if _, twice := t.links[l.Name]; twice {
			continue
		}
		t.links[l.Name] = i
		if l.Master != "" {
			t.ports[l.Master] = append(t.ports[l.Master], i)
		}
	}
	for i, n := range s.Networks {
		t.networks[n.Name] = i
	}
	for i, p := range s.PCI {
		t.pci[p.Address] = i
	}
	if s.OVS != nil {
		for i := range s.OVS.Bridges {
			t.plug(&s.OVS.Bridges[i])
		}
	}
	t.measureAll()
	return t
}

// plug indexes a bridge of Open vSwitch.
func (t *Topology) plug(b *host.OVSBridge) {
	t.bridges[b.Name] = b
	for j := range b.Ports {
		for k := range b.Ports[j].Interfaces {
			x := &b.Ports[j].Interfaces[k]
			p := plug{x, b.Name, b.Ports[j].Tag}
			t.plugs[x.Name] = p
			if x.Socket != "" {
				t.sockets[x.Socket] = p
			}
			if x.Type == "patch" {
				t.patches[x.Name] = x
			}
		}
	}
}

// measureAll works out what each link carries, and each patch port. It does so in one
// order: where links lead back to themselves, what is found depends on where one
// begins. After it nothing is written to carries.
func (t *Topology) measureAll() {
	var names []string
	for name, i := range t.links {
		if !t.host.Links[i].Tap || t.plugs[name].OVSInterface != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		t.carry(name)
	}
	for _, name := range slices.Sorted(maps.Keys(t.patches)) {
		t.patch(t.patches[name])
	}
}

// Has reports whether there is a link called name.
func (t *Topology) Has(name string) bool { _, ok := t.links[name]; return ok }

// link returns the link called name.
func (t *Topology) link(name string) (host.Link, bool) {
	i, ok := t.links[name]
	if !ok {
		return host.Link{}, false
	}
	return t.host.Links[i], true
}

// portsOf returns the ports of a bridge, or the members of a bond.
func (t *Topology) portsOf(master string) []host.Link {
	ports := make([]host.Link, len(t.ports[master]))
	for i, at := range t.ports[master] {
		ports[i] = t.host.Links[at]
	}
	return ports
}

// network returns the libvirt network called name.
func (t *Topology) network(name string) (host.Network, bool) {
	i, ok := t.networks[name]
	if !ok {
		return host.Network{}, false
	}
	return t.host.Networks[i], true
}

// function returns the PCI function at an address.
func (t *Topology) function(address string) (host.PCI, bool) {
	i, ok := t.pci[address]
	if !ok {
		return host.PCI{}, false
	}
	return t.host.PCI[i], true
}
