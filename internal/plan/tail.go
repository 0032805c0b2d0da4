package plan

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
)

// tail is what all NICs on one bridge, or one lower device, share: the way on to the
// wire, and what is wrong with it.
type tail struct {
	nodes    []Node // the first has no parent
	findings []finding.Finding
	covers   []string // the links that it goes by
	entries  []entry
}

// walker builds a tail.
type walker struct {
	*Topology
	tail
	seen map[string]bool
}

// tail returns the way on from a bridge or a link. The caller does not change it.
func (t *Topology) tail(key string, start func(*walker)) *tail {
	t.mu.Lock()
	defer t.mu.Unlock()
	if made, ok := t.tails[key]; ok {
		return made
	}
	w := walker{Topology: t, seen: map[string]bool{}}
	start(&w)
	t.tails[key] = &w.tail
	return &w.tail
}

// bridgeTail is the way on from the bridge of a segment.
func (t *Topology) bridgeTail(s *Segment) *tail {
	if s.OVS {
		return t.tail("ovs "+s.Bridge, func(w *walker) { w.ovs(-1, s.Bridge, "", s) })
	}
	return t.tail(s.Bridge, func(w *walker) { w.bridge(-1, s.Bridge, "", s) })
}

// linkTail is the way on from a link that is no bridge: what a macvtap sits on.
func (t *Topology) linkTail(name string) *tail {
	return t.tail("link "+name, func(w *walker) { w.link(-1, NodeUplink, name, "") })
}

func (w *walker) add(n Node) int {
	w.nodes = append(w.nodes, n)
	return len(w.nodes) - 1
}

func (w *walker) find(code finding.Code, remedy, format string, a ...any) {
	w.findings = append(w.findings, finding.New(code, fmt.Sprintf(format, a...), remedy))
}

// again reports whether the walk has been at a place before, and notes it there.
func (w *walker) again(parent int, kind NodeKind, name string, mtu int) bool {
	key := string(kind) + name
	if kind == NodeUnderlay || kind == NodePeer {
		key = string(NodeUplink) + name // the same link, however one comes to it
	}
	if len(w.nodes) >= mostNodes {
		w.nodes[parent].Note = clauses(w.nodes[parent].Note, "and further on, which is not shown")
		return true
	}
	if !w.seen[key] {
		w.seen[key] = true
		w.covers = append(w.covers, name)
		return false
	}
	for _, n := range w.ancestors(parent) {
		if n.Kind == NodeUnderlay || kind == NodeUnderlay {
			break // another layer: a tunnel may leave by the bridge that it is a port of
		}
		if n.Name == name {
			w.add(Node{Kind: kind, Name: name, MTU: mtu, Parent: parent, Note: "leads back to itself"})
			w.find(finding.NotKnown, "", "%s leads back to itself: what gets through cannot be said", name)
			return true
		}
	}
	w.add(Node{Kind: kind, Name: name, MTU: mtu, Parent: parent, Carries: w.carry(name).MTU})
	return true
}

func (w *walker) ancestors(i int) []Node {
	var up []Node
	for ; i >= 0; i = w.nodes[i].Parent {
		up = append(up, w.nodes[i])
	}
	return up
}

// bridge adds a Linux bridge, seen from one of its ports. s is given for the bridge
// that the NIC itself is on.
func (w *walker) bridge(parent int, name, from string, s *Segment) {
	l, _ := w.Topology.link(name)
	if w.again(parent, NodeBridge, name, l.MTU) {
		return
	}
	n := Node{Kind: NodeBridge, Name: name, MTU: l.MTU, Parent: parent}
	up := w.uplinks(name, from)
	if s != nil {
		// The bridge's own MTU is for what the host itself sends: what it forwards
		// goes by the port that it leaves by.
		limit, _ := s.limit()
		if n.MTU, n.Carries = s.BridgeMTU, limit.MTU; s.Missing {
			n.Note = s.Why
		}
		w.judgeBridge(s)
	} else {
		n.Carries = wire(name, up).MTU
	}
	w.uplinksBelow(w.add(n), up)
}

// What of a path is shown: uplinks of one bridge, and steps in all. A host may have a
// thousand NICs on a bridge with a thousand uplinks.
const (
	mostUplinks = 16
	mostNodes   = 256
)

// uplinksBelow adds the uplinks of a Linux bridge, of many those that carry the least.
func (w *walker) uplinksBelow(at int, up []Uplink) {
	shown, more := narrowest(up, func(u Uplink) int { return u.Carry.MTU })
	for _, u := range shown {
		w.link(at, NodeUplink, u.Name, "")
	}
	w.rest(at, more)
}

// narrowest returns the items with the least of a number, and how many are left out.
func narrowest[T any](all []T, number func(T) int) (shown []T, more int) {
	if len(all) <= mostUplinks {
		return all, 0
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(a, b T) int { return cmp.Compare(number(a), number(b)) })
	return all[:mostUplinks], len(all) - mostUplinks
}

// rest stands for uplinks that are not shown.
func (w *walker) rest(at, more int) {
	if more > 0 {
		w.nodes[at].Note = clauses(w.nodes[at].Note, fmt.Sprintf("and %d more uplinks, which carry as much or more", more))
	}
}

// link adds a link and what lies under it.
func (w *walker) link(parent int, kind NodeKind, name, note string) {
	l, ok := w.Topology.link(name)
	if w.again(parent, kind, name, l.MTU) {
		return
	}
	c := w.carry(name)
	if !ok || c.Certainty != Known || c.MTU != l.MTU && layered(l) { // else the nodes below say it
		note = clauses(note, c.Why)
	}
	at := w.add(Node{Kind: kind, Name: name, MTU: l.MTU, Parent: parent, Carries: c.MTU, Note: clauses(kindNote(l), note)})
	said := len(w.findings)
	defer func() {
		if c.Certainty != Known && !w.unknownSince(said) { // else what is under it has said so
			w.find(finding.NotKnown, "", "what %s carries is not known: %s", name, c.Why)
		}
	}()
	if c.Below != 0 && c.Below < l.MTU && layered(l) {
		w.find(finding.OverlayAboveUnderlay, w.overlayRemedy(l, c), "%s has %d, but carries only %d: %s; larger packets vanish", name, l.MTU, c.Below, c.Why)
	}
	switch {
	case stacked[l.Kind]:
		if l.Lower != "" {
			w.link(at, NodeUnderlay, l.Lower, "")
		}
	case aggregates[l.Kind]:
		for _, m := range w.portsOf(name) {
			w.link(at, NodeUnderlay, m.Name, "")
			if m.MTU != l.MTU && m.MTU != 0 {
				w.find(finding.PeerMismatch, w.set(m, l.MTU), "%s of %s %s has %d, and %s itself %d: what it sends by that member is another size", m.Name, l.Kind, name, m.MTU, name, l.MTU)
			}
		}
	case l.Tunnel != nil:
		w.remotes(at, l.Tunnel)
	case l.Kind == "veth":
		w.peer(at, l)
	case l.Kind == "bridge":
		w.uplinksBelow(at, w.uplinks(name, ""))
	default:
		if w.internal(name) {
			w.ovs(at, w.plugs[name].bridge, name, nil)
		}
	}
}

// unknownSince reports whether something was found not to be known.
func (w *walker) unknownSince(findings int) bool {
	for _, f := range w.findings[findings:] {
		if f.Code == finding.NotKnown {
			return true
		}
	}
	return false
}

// remotes adds the underlays of a tunnel, each link once.
func (w *walker) remotes(at int, n *host.Tunnel) {
	far := map[string][]string{}
	var order []string
	for _, r := range n.Remotes {
		if r.Underlay == "" {
			continue
		}
		if _, ok := far[r.Underlay]; !ok {
			order = append(order, r.Underlay)
		}
		if r.Address != "" {
			far[r.Underlay] = append(far[r.Underlay], r.Address)
		}
	}
	for _, u := range order {
		note := ""
		if to := far[u]; len(to) > 0 {
			note = "to " + some(to, 3)
		}
		w.link(at, NodeUnderlay, u, note)
	}
}

// peer adds the other end of a veth, and where it leads.
func (w *walker) peer(at int, l host.Link) {
	p, ok := w.Topology.link(l.Peer)
	if !ok || w.again(at, NodePeer, l.Peer, p.MTU) {
		return
	}
	if p.MTU != l.MTU && p.MTU != 0 && l.MTU != 0 {
		low, high := l, p
		if low.MTU > high.MTU {
			low, high = high, low
		}
		w.find(finding.VethEndsDiffer, w.set(low, high.MTU), "the ends of veth pair %s and %s have %d and %d: what is larger than %d vanishes between them", l.Name, p.Name, l.MTU, p.MTU, low.MTU)
	}
	at = w.add(Node{Kind: NodePeer, Name: p.Name, MTU: p.MTU, Parent: at, Carries: w.beyond(l).MTU})
	if plug, ok := w.plugs[p.Name]; ok {
		w.ovs(at, plug.bridge, p.Name, nil)
	} else if m, ok := w.Topology.link(p.Master); ok && m.Kind == "bridge" {
		w.bridge(at, m.Name, p.Name, nil)
	}
}

// ovs adds a bridge of Open vSwitch, seen from one of its ports.
func (w *walker) ovs(parent int, name, from string, s *Segment) {
	internal := 0
	if p, ok := w.plugs[name]; ok {
		internal = p.MTU
	} else if l, ok := w.Topology.link(name); ok {
		internal = l.MTU
	}
	if w.again(parent, NodeOVS, name, internal) {
		return
	}
	up := w.ovsWires(name, from)
	n := Node{Kind: NodeOVS, Name: name, MTU: internal, Parent: parent, Carries: up.carry().MTU}
	if internal != 0 {
		n.Note = "its internal port, the host's own"
	}
	if s != nil {
		if _, ok := w.bridges[name]; !ok {
			n.Note = s.Why
			if !s.Missing {
				w.find(finding.NotKnown, "sudo virt-mtu check # Open vSwitch's database is root's", "%s", s.Why)
			}
		}
	}
	at := w.add(n)
	if s != nil {
		w.judgeOVS(name, &up)
	} else if !w.internal(from) {
		w.entries = append(w.entries, entry{from, name, up.carry().Carry})
	}
	bundles, more := narrowest(alike(w.Topology, up.direct), func(b bundle) int { return b.Carry.MTU })
	for _, u := range bundles {
		w.ovsUplink(at, u)
	}
	patched, others := narrowest(up.patched, func(u Uplink) int { return u.Carry.MTU })
	for _, u := range patched {
		w.patched(at, u)
	}
	w.rest(at, more+others)
}

// bundle is one uplink that stands for others that are the same but for their names.
type bundle struct {
	Uplink
	more int
}

// alike bundles the tunnel ports of a bridge: there is one for each other host.
func alike(t *Topology, up []Uplink) []bundle {
	var out []bundle
	at := map[string]int{}
	for _, u := range up {
		p := t.plugs[u.Name]
		if p.Tunnel == nil {
			out = append(out, bundle{Uplink: u})
			continue
		}
		key := fmt.Sprint(p.Type, u.Carry)
		for _, r := range p.Tunnel.Remotes {
			key += " " + r.Underlay
		}
		if i, ok := at[key]; ok {
			out[i].more++
			continue
		}
		at[key] = len(out)
		out = append(out, bundle{Uplink: u})
	}
	return out
}

func (w *walker) ovsUplink(at int, u bundle) {
	p := w.plugs[u.Name]
	if p.Tunnel == nil {
		if _, ok := w.Topology.link(u.Name); ok {
			w.link(at, NodeUplink, u.Name, portNote(p.OVSInterface))
			return
		}
	}
	if w.again(at, NodeUplink, u.Name, u.MTU) {
		return
	}
	note := p.Type
	if u.more > 0 {
		note = clauses(note, fmt.Sprintf("and %d more like it", u.more))
	}
	note = clauses(note, u.Why, portNote(p.OVSInterface))
	at = w.add(Node{Kind: NodeUplink, Name: u.Name, MTU: u.MTU, Parent: at, Carries: u.Carry.MTU, Note: note})
	if u.Certainty != Known {
		w.find(finding.NotKnown, "", "what %s carries is not known: %s", u.Name, u.Why)
	}
	if p.Tunnel != nil {
		w.remotes(at, p.Tunnel)
	}
}

// patched adds a patch port, its other end, and the bridge there.
func (w *walker) patched(at int, u Uplink) {
	p := w.plugs[u.Name]
	if w.again(at, NodeUplink, u.Name, 0) {
		return
	}
	at = w.add(Node{Kind: NodeUplink, Name: u.Name, Parent: at, Carries: u.Carry.MTU, Note: "patch port"})
	peer := w.plugs[p.Peer]
	at = w.add(Node{Kind: NodePeer, Name: p.Peer, Parent: at, Carries: u.Carry.MTU, Note: "patch port"})
	w.ovs(at, peer.bridge, p.Peer, nil)
}

// portNote shows what Open vSwitch itself says of a port: what was asked for, and
// what it has counted as not sent.
func portNote(x *host.OVSInterface) string {
	asked, counted := "", ""
	if x == nil {
		return ""
	}
	if x.MTURequest != 0 {
		asked = fmt.Sprintf("mtu_request %d", x.MTURequest)
	}
	if x.TxErrors != 0 {
		counted = fmt.Sprintf("tx_errors %d", x.TxErrors)
	}
	return clauses(asked, counted)
}

// kindNote says what a link is, where its name may not.
func kindNote(l host.Link) string {
	if layered(l) || aggregates[l.Kind] || l.Kind == "veth" {
		return l.Kind
	}
	return ""
}

// clauses puts clauses together, the empty ones left out.
func clauses(all ...string) string { return join("; ", all...) }

// join puts texts together, the empty ones left out.
func join(between string, texts ...string) string {
	return strings.Join(slices.DeleteFunc(texts, func(s string) bool { return s == "" }), between)
}

// some names the first of many.
func some(names []string, most int) string {
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
