package render

import (
	"fmt"
	"slices"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// crowd: more NICs than this that are alike become one vertex.
const crowd = 40

// graph is a report's paths laid over each other: a bridge that a thousand NICs are
// on is one vertex.
type graph struct {
	hosts    []*hostGraph
	vertices int
}

// hostGraph is one host's part of it. No edge of a path leaves its host.
type hostGraph struct {
	host    *check.Host
	domains []*domainGraph // and their guests
	shared  []*vertex      // all that is no guest
	edges   []*edge

	byKey  map[string]*vertex
	byEnds map[[2]*vertex]*edge
	next   *int // number of the next vertex
}

type domainGraph struct {
	title  string
	guests []*vertex
}

// vertex is one or more nodes of paths.
type vertex struct {
	id         int
	lines      []string // what it is
	status     finding.Severity
	codes      []finding.Finding // one of each code
	bottleneck bool
	carries    int // what gets through a bottleneck
}

// edge leads toward the wire.
type edge struct {
	from, to *vertex
	mtu      int // what gets through between the two; 0: not known
}

func newGraph(r *check.Report) *graph {
	g := &graph{}
	for i := range r.Hosts {
		h := &hostGraph{
			host:   &r.Hosts[i],
			byKey:  map[string]*vertex{},
			byEnds: map[[2]*vertex]*edge{},
			next:   &g.vertices,
		}
		g.hosts = append(g.hosts, h)
		h.addDomains()
	}
	return g
}

// addDomains draws every NIC. Those that are alike and many go into a vertex that
// stands for all of them.
func (h *hostGraph) addDomains() {
	alike := map[string]*likes{}
	for i := range h.host.Domains {
		d := &h.host.Domains[i]
		for k := range d.Interfaces {
			n := &d.Interfaces[k]
			key := likeness(n)
			if alike[key] == nil {
				alike[key] = &likes{}
			}
			alike[key].add(d)
		}
	}
	for i := range h.host.Domains {
		d := &h.host.Domains[i]
		dg := &domainGraph{title: domain(d)}
		for k := range d.Interfaces {
			n := &d.Interfaces[k]
			many := alike[likeness(n)]
			if many.nics <= crowd {
				many = nil
			}
			h.addNIC(dg, n, many)
		}
		if len(dg.guests) > 0 {
			h.domains = append(h.domains, dg)
		}
	}
}

// addNIC draws a NIC's path: as one of its domain's, or with the guest's end of it
// in the vertex of many.
func (h *hostGraph) addNIC(d *domainGraph, n *check.Interface, many *likes) {
	path := n.Path
	if len(path) == 0 {
		path = []plan.Node{{Kind: plan.NodeGuest, Name: n.MAC, MTU: n.GuestMTU, Parent: -1}}
	}
	at := make([]*vertex, len(path))
	for i := range path {
		up, ok := parent(path, i)
		var above *vertex
		if ok {
			above = at[up]
		}
		at[i] = h.vertexOf(d, n, &path[i], above, many)
		if path[i].Bottleneck {
			at[i].limit(path[i].Carries, n.Status)
		}
		if ok && above != at[i] {
			h.connect(above, at[i], between(&path[up], &path[i]))
		}
	}
	at[0].status = finding.Worse(at[0].status, n.Status)
	for _, f := range n.Findings {
		at[shownAt(f.Code, path)].mark(f)
	}
}

// vertexOf returns the vertex of a node. Links of one name are one, whatever part
// they play on a path; what has no name is told by what it is below.
func (h *hostGraph) vertexOf(d *domainGraph, n *check.Interface, node *plan.Node, above *vertex, many *likes) *vertex {
	switch {
	case many != nil && guestSide[node.Kind]:
		if many.vertex == nil {
			many.vertex = h.vertex(many.lines(n))
			h.shared = append(h.shared, many.vertex)
		}
		return many.vertex
	case node.Kind == plan.NodeGuest:
		v := h.vertex([]string{nic(n), mtuLine(node), noteLine(node)})
		d.guests = append(d.guests, v)
		return v
	}
	key := "link " + node.Name
	switch {
	case node.Name == "" && above != nil:
		key = fmt.Sprintf("%s below %d", node.Kind, above.id)
	case node.Kind == plan.NodeNetwork:
		key = "network " + node.Name
	}
	v := h.byKey[key]
	if v == nil {
		v = h.vertex([]string{title(node), mtuLine(node), noteLine(node)})
		h.byKey[key] = v
		h.shared = append(h.shared, v)
	}
	return v
}

func (h *hostGraph) vertex(lines []string) *vertex {
	v := &vertex{id: *h.next, lines: lines, status: finding.OK}
	*h.next++
	return v
}

func (h *hostGraph) connect(from, to *vertex, mtu int) {
	ends := [2]*vertex{from, to}
	if e := h.byEnds[ends]; e != nil {
		e.mtu = smaller(e.mtu, mtu)
		return
	}
	e := &edge{from, to, mtu}
	h.byEnds[ends] = e
	h.edges = append(h.edges, e)
}

// mark adds a finding.
func (v *vertex) mark(f finding.Finding) {
	v.status = finding.Worse(v.status, f.Severity)
	if !slices.ContainsFunc(v.codes, func(have finding.Finding) bool { return have.Code == f.Code }) {
		v.codes = append(v.codes, f)
	}
}

// limit makes it the bottleneck of a NIC; one that is critical makes it critical.
func (v *vertex) limit(carries int, status finding.Severity) {
	v.bottleneck = true
	v.carries = smaller(v.carries, carries)
	if status == finding.Critical {
		v.status = status
	}
}

func title(n *plan.Node) string {
	if n.Name == "" {
		return string(n.Kind)
	}
	return string(n.Kind) + " " + name(n.Name)
}

// maxNote bounds a note in a picture, in bytes.
const maxNote = 60

func noteLine(n *plan.Node) string { return oneline.Text(n.Note, maxNote) }

func mtuLine(n *plan.Node) string {
	switch {
	case n.MTU != 0:
		return fmt.Sprintf("MTU %d", n.MTU)
	case unlimited(n):
		return ""
	}
	return "MTU unknown"
}

// between is what gets through from a node to the next: the smaller of their MTUs. A
// node that sets no limit leaves it to the other; where neither sets one it is what
// gets through behind them. 0: not known.
func between(up, down *plan.Node) int {
	switch {
	case unlimited(up) && unlimited(down):
		return down.Carries
	case unlimited(up):
		return down.MTU
	case unlimited(down):
		return up.MTU
	}
	return min(up.MTU, down.MTU)
}
