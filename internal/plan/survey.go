package plan

import (
	"fmt"
	"strings"

	"virt-mtu/internal/finding"
)

// covered returns the links on the ways of a host's NICs that have been inspected so
// far.
func (t *Topology) covered() map[string]bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	covered := map[string]bool{}
	for _, made := range t.tails {
		for _, l := range made.covers {
			covered[l] = true
		}
	}
	return covered
}

// Survey finds what is wrong with the bridges and links of a host that no NIC's path
// has come by. What is not known of them is passed over: nobody depends on it.
func (t *Topology) Survey() []finding.Finding {
	covered := t.covered()
	var out []finding.Finding
	said := map[finding.Finding]bool{}
	take := func(made *tail) {
		for _, l := range made.covers {
			covered[l] = true
		}
		for _, f := range made.findings {
			if f.Severity != finding.Unknown && !said[f] {
				said[f] = true
				out = append(out, f)
			}
		}
	}
	for _, l := range t.host.Links {
		if l.Kind == "bridge" && !covered[l.Name] && t.wired(l.Name) {
			s := t.bridge(l.Name, false)
			take(t.bridgeTail(&s))
		}
	}
	if t.host.OVS != nil {
		for _, b := range t.host.OVS.Bridges {
			if !covered[b.Name] {
				s := t.bridge(b.Name, true)
				take(t.bridgeTail(&s))
			}
		}
	}
	for _, n := range t.unjudged() {
		out = append(out, t.judgeNetwork(n)...)
	}
	// First those that nothing sits on: what is under them comes along.
	under := t.satOn()
	for _, top := range []bool{true, false} {
		for _, l := range t.host.Links {
			if (layered(l) || aggregates[l.Kind] || l.Kind == "veth") && under[l.Name] != top && !covered[l.Name] {
				take(t.linkTail(l.Name))
			}
		}
	}
	return out
}

// wired reports whether a bridge leads off the host. One with several veths and nothing
// else is for containers, each of which has an MTU of its own.
func (t *Topology) wired(bridge string) bool {
	veths := 0
	for _, i := range t.ports[bridge] {
		switch p := t.host.Links[i]; {
		case p.Kind == "veth":
			veths++
		case !p.Tap:
			return true
		}
	}
	return veths == 1
}

// satOn are the links that others sit on.
func (t *Topology) satOn() map[string]bool {
	under := map[string]bool{}
	for _, l := range t.host.Links {
		under[l.Lower] = true
		if l.Tunnel != nil {
			for _, r := range l.Tunnel.Remotes {
				under[r.Underlay] = true
			}
		}
	}
	return under
}

// Carried is a bridge or network by its name, and what its segment carries.
type Carried struct {
	Name    string // "bridge br0", "network lan"
	MTU     int    // bytes of IP packet
	because string
}

// Carried returns what the host's named segments carry, as far as it is known: its
// libvirt networks, and of the bridges that lead off it those that are wanted.
func (t *Topology) Carried(wanted map[string]bool) []Carried {
	var out []Carried
	add := func(kind, name string, s Segment) {
		if s.Certainty == Known {
			out = append(out, Carried{kind + " " + name, s.MTU, s.Why})
		}
	}
	for _, n := range t.host.Networks {
		x := networkNIC(n.Name)
		add("network", n.Name, t.Segment(x))
	}
	for _, l := range t.host.Links {
		if l.Kind != "bridge" || !wanted[l.Name] {
			continue
		}
		if s := t.bridge(l.Name, false); len(s.Uplinks) > 0 {
			add("bridge", l.Name, s)
		}
	}
	if t.host.OVS != nil {
		for _, b := range t.host.OVS.Bridges {
			if wanted[b.Name] {
				add("bridge", b.Name, t.bridge(b.Name, true))
			}
		}
	}
	return out
}

// Disagreement says that a segment of this host carries less than the one of the
// same name elsewhere, on the host other.
func (c Carried) Disagreement(other string, there Carried) finding.Finding {
	return finding.New(finding.PeerMismatch,
		fmt.Sprintf("%s carries %d here and %d on %s (%s): who migrates here with %d cannot use it", c.Name, c.MTU, there.MTU, oneWord(other), c.because, there.MTU),
		"# raise what is marked on its path, from the wire in; virt-mtu check --all")
}

func oneWord(host string) string {
	if strings.TrimSpace(host) == "" {
		return "another host"
	}
	return host
}
