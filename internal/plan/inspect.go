package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/nicmodel"
	"virt-mtu/internal/policy"
)

// Subject is one domain to be looked at, on the host that it is on.
type Subject struct {
	Name string
	// Definition is nil for a transient domain, Live for one that does not run, Saved
	// without a managed save image.
	Definition, Live, Saved *domxml.Domain
	// Guests is what the guest itself says, by MAC: bytes of IP packet.
	Guests map[string]int
	Host   *Topology
	Config policy.Config
}

// Inspection is what there is to say of one NIC.
type Inspection struct {
	XML domxml.NIC // of the running domain, of one that does not run the definition
	// Hostdev: a PCI device that was passed through, of which nothing else is known.
	Hostdev bool
	Bridge  string // that it comes down to; empty: none
	// Guest is the MTU that the guest works with, as far as that can be known from
	// outside; 0: not known. Told: it was told, or says so itself; else it is what a
	// guest has that nobody told, and may be another by now.
	Guest int
	Told  bool
	// Path from the guest to the wire, and what gets through all of it; 0: not known.
	Path    []Node
	PathMTU int
	// Findings in the order in which they were found.
	Findings []finding.Finding
	// Ignored: the admin wants the NIC left alone; what is only to be put right by
	// changing it is not said.
	Ignored bool
	// Segment tells which NICs should agree: those on one bridge, in one VLAN of it.
	// Empty: none.
	Segment string
	Running bool
}

// Inspect looks at each NIC of a domain: those that run, then those that are only
// in the definition. The error is for metadata that does not parse: what the domain
// wants is not known then, and the inspections are as if it wanted nothing.
func Inspect(s Subject) ([]Inspection, error) {
	shown := s.Live
	if shown == nil {
		shown = s.Definition
	}
	if shown == nil {
		return nil, nil
	}
	wanted := s.Definition
	if wanted == nil {
		wanted = shown
	}
	p, err := Make(Input{Domain: *wanted, Host: s.Host, Config: s.Config})
	if err != nil {
		without := *wanted
		without.Metadata = nil
		if p, _ = Make(Input{Domain: without, Host: s.Host, Config: s.Config}); len(p.NICs) == 0 {
			return nil, err
		}
	}
	var out []Inspection
	for i, x := range shown.NICs {
		out = append(out, s.nic(x, s.twin(&p, x, i)))
	}
	for i := range p.NICs {
		n := &p.NICs[i]
		if _, runs := SameNIC(shown.NICs, n.XML.MAC, i); !runs {
			out = append(out, s.nic(n.XML, n))
		}
	}
	for _, h := range shown.Hostdevs {
		if _, isNIC := s.Host.function(h.Address); isNIC {
			out = append(out, s.function(domxml.NIC{Type: "hostdev", Address: h.Address}, nil, true))
		}
	}
	return out, err
}

// twin finds the plan of a NIC that is shown; nil: the definition has no such NIC.
func (s *Subject) twin(p *Plan, x domxml.NIC, index int) *NIC {
	if index < len(p.NICs) && p.NICs[index].XML.MAC == x.MAC {
		return &p.NICs[index]
	}
	for i := range p.NICs {
		if p.NICs[i].XML.MAC == x.MAC {
			return &p.NICs[i]
		}
	}
	return nil
}

// SameNIC finds a NIC in another XML of its domain: by its MAC, and at its place
// where that is not its own.
func SameNIC(nics []domxml.NIC, mac string, index int) (domxml.NIC, bool) {
	if index >= 0 && index < len(nics) && nics[index].MAC == mac {
		return nics[index], true
	}
	for _, n := range nics {
		if n.MAC == mac {
			return n, true
		}
	}
	return domxml.NIC{}, false
}

// nic looks at one NIC. planned is the plan of its definition, nil without one.
func (s *Subject) nic(x domxml.NIC, planned *NIC) Inspection {
	switch {
	case x.Type == "hostdev":
		return s.function(x, planned, false)
	case x.Type == "direct":
		return s.macvtap(x, planned)
	case x.Type == "vhostuser":
		return s.vhostuser(x, planned)
	case !nicmodel.LookupType(x.Type).Inject:
		return s.opaque(x)
	}
	return s.bridged(x, planned)
}

// inspector is an Inspection in the making.
type inspector struct {
	Inspection
	s       *Subject
	planned *NIC
	reading bool // Guest is what the guest itself says
	tail    int  // where in the path the shared tail begins; 0: there is none
}

func (s *Subject) begin(x domxml.NIC, planned *NIC) *inspector {
	in := &inspector{Inspection: Inspection{XML: x}, s: s, planned: planned}
	if planned != nil {
		in.Ignored = planned.Ignored
	}
	if s.Live != nil {
		_, in.Running = SameNIC(s.Live.NICs, x.MAC, -1)
	}
	in.guest()
	return in
}

func (in *inspector) find(code finding.Code, remedy, format string, a ...any) {
	in.Findings = append(in.Findings, finding.New(code, fmt.Sprintf(format, a...), remedy))
}

// guest works out what the guest has, and makes it the first node.
func (in *inspector) guest() {
	x := in.XML
	told := told(x)
	note := ""
	in.Guest, in.Told = in.s.Guests[x.MAC], true
	switch {
	case in.Guest != 0:
		in.reading, note = true, "says the guest itself"
	case x.Type == "hostdev" || x.Type == "vdpa":
		in.Told, note = false, "what the guest has cannot be seen from here"
	case x.MTU != 0 && told == nicmodel.ToldVirtio:
		in.Guest, note = x.MTU, "told by virtio"
	case x.MTU != 0:
		in.Guest, in.Told, note = nicmodel.Standard, false, fmt.Sprintf("its <mtu> of %d is told nobody: 1500 unless somebody set it inside", x.MTU)
	default:
		in.Guest, in.Told, note = nicmodel.Standard, false, "told nothing: 1500 unless somebody set it inside"
	}
	if m, ok := nicmodel.Lookup(x.Model); ok && m.Max < nicmodel.Limitless {
		note = clauses(note, fmt.Sprintf("%s carries at most %d", x.Model, m.Max))
	}
	in.Path = append(in.Path, Node{Kind: NodeGuest, Name: in.s.Name, MTU: in.Guest, Parent: -1, Note: note})
}

// step adds a node below the last one.
func (in *inspector) step(n Node) {
	n.Parent = len(in.Path) - 1
	in.Path = append(in.Path, n)
}

// follow adds a shared tail below the last node.
func (in *inspector) follow(t *tail) {
	base := len(in.Path)
	in.tail = base
	for _, n := range t.nodes {
		if n.Parent < 0 {
			n.Parent = base - 1
		} else {
			n.Parent += base
		}
		in.Path = append(in.Path, n)
	}
	in.Findings = append(in.Findings, t.findings...)
}

// done completes the path: what gets through each step and all of it, and where it
// is narrowest. The tail knows its own numbers; what stands before it does not.
func (in *inspector) done() Inspection {
	last := in.tail
	if last == 0 {
		last = len(in.Path) - 1
	}
	for i := last; i > 0; i-- {
		n := &in.Path[i]
		if n.Carries != 0 && (in.PathMTU == 0 || n.Carries < in.PathMTU) {
			in.PathMTU = n.Carries
		}
		n.Carries = in.PathMTU
	}
	first := &in.Path[0]
	if first.Carries = in.PathMTU; in.Guest != 0 && (in.PathMTU == 0 || in.Guest < in.PathMTU) {
		first.Carries = in.Guest
	}
	in.mark(last)
	slices.SortStableFunc(in.Findings, func(a, b finding.Finding) int { return finding.Order(a, b) })
	return in.Inspection
}

// mark marks the bottleneck: the last node on the way from the guest from which no
// more gets through than through the whole path, where others would carry more. Under
// a tunnel numbers are another layer's.
func (in *inspector) mark(last int) {
	least, most, at := in.Path[0].Carries, 0, 0
	for i, n := range in.Path {
		switch {
		case i <= last:
			most = max(most, n.MTU, n.Carries)
		case n.Parent == at && n.Kind != NodeUnderlay:
			most = max(most, n.Carries)
		default:
			continue
		}
		if n.Carries == least {
			at = i
		}
	}
	if least != 0 && least < most {
		in.Path[at].Bottleneck = true
	}
}
