package plan

import (
	"errors"
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/nicmodel"
	"virt-mtu/internal/owned"
	"virt-mtu/internal/policy"
)

// Mode is who asks for the plan.
type Mode int

const (
	// Explicit: somebody asked for this domain; values may go down too.
	Explicit Mode = iota
	// Upward: nobody asked (the hook, the daemon); values only go up, so that a
	// bridge that dips wipes nothing.
	Upward
	// Filter: XML from anywhere, without a host or a record; an <mtu> that is
	// there stays, and networks are taken as they are named.
	Filter
)

// Input is all that a plan is made from.
type Input struct {
	Domain domxml.Domain
	Host   *Topology
	Config policy.Config
	Mode   Mode
	MTU    int  // --mtu; 0: not given
	All    bool // the domain was not named: --mtu is not for who wants to be left alone
	Force  bool // change what an admin wrote, too
	Lower  bool // lower although the bridge stands below its uplinks
	// Networks, where not nil, are the only ones whose NICs are worked on.
	Networks []string
}

// Action is what is to be done about a NIC's <mtu>. The words are those of the
// command's JSON.
type Action string

const (
	None   Action = "none"   // right as it is
	Inject Action = "inject" // there is none, one goes in
	Update Action = "update" // it gets another value
	Remove Action = "remove"
	Refuse Action = "refuse" // the NIC cannot work at its target
	Skip   Action = "skip"   // left alone, for a reason
)

// Plan is a domain's plan, one entry a NIC in the order of the XML.
type Plan struct {
	NICs []NIC
}

// NIC is the plan for one NIC.
type NIC struct {
	XML     domxml.NIC
	Segment Segment
	Told    nicmodel.Told
	// Target MTU; 0 where it is not known, or the NIC is ignored.
	Target int
	Action Action
	// Set is the definition's <mtu> once the action is done; 0: none.
	Set int
	// Reason of the action, one clause; Hint says what to do about it.
	Reason, Hint string
	// Warnings are what is wrong although the action stands.
	Warnings []string
	// Ignored: the admin wants nothing done about this NIC, its tap included.
	Ignored bool
	// Ours: the definition's <mtu> is one that virt-mtu put there. Asked: Set is a
	// number that somebody named, not one that follows a bridge.
	Ours, Asked bool
	// Open: the NIC has no <mtu>, and who knows more than this plan's host
	// snapshot says might give it one.
	Open bool
}

// Changes reports whether the definition has to change.
func (n *NIC) Changes() bool {
	return n.Action == Inject || n.Action == Update || n.Action == Remove
}

// Edits returns the changes to the XML: NIC index to MTU, for domxml's Splice.
func (p *Plan) Edits() map[int]int {
	edits := map[int]int{}
	for i, n := range p.NICs {
		if n.Changes() {
			edits[i] = n.Set
		}
	}
	return edits
}

// Refused returns the NICs that are refused.
func (p *Plan) Refused() []NIC {
	var out []NIC
	for _, n := range p.NICs {
		if n.Action == Refuse {
			out = append(out, n)
		}
	}
	return out
}

// Make plans a domain. The error is for metadata that does not parse: then nothing
// is known of what the admin wants, and nothing may be done.
func Make(in Input) (Plan, error) {
	pl := planner{Input: in, macs: map[string]int{}}
	var err error
	if in.Mode != Filter {
		if pl.owned, err = owned.FromMetadata(in.Domain.Metadata); err != nil {
			return Plan{}, err
		}
	}
	if pl.domain, err = OwnSetting(&in.Domain); err != nil {
		return Plan{}, err
	}
	for _, n := range in.Domain.NICs {
		pl.macs[n.MAC]++
	}
	var p Plan
	for _, n := range in.Domain.NICs {
		p.NICs = append(p.NICs, pl.nic(n))
	}
	return p, nil
}

// MetadataRemedy is what to paste against an error of Make or Undo.
func MetadataRemedy(domain string, err error) string {
	domain = ShellWord(domain)
	if errors.Is(err, owned.ErrDamaged) {
		return fmt.Sprintf("virsh metadata %s %s --config --remove # then each <mtu> there counts as an admin's", domain, owned.URI)
	}
	return fmt.Sprintf(`virsh metadata %s %s --config --key %s --set "<domain mtu='inherit'/>" # or a number, or ignore; --remove takes it out`,
		domain, policy.MetadataURI, policy.MetadataKey)
}

// OwnSetting reads the setting that a domain's metadata holds for itself; nil where
// there is none.
func OwnSetting(d *domxml.Domain) (*policy.Setting, error) {
	node, ok := d.Metadata[policy.MetadataURI]
	if !ok {
		return nil, nil
	}
	s, err := policy.ParseMetadata(node.Name.Local, node.Attrs)
	if err != nil {
		return nil, err
	}
	return &s, nil
}

type planner struct {
	Input
	owned  owned.Record
	domain *policy.Setting // from the domain's metadata
	macs   map[string]int
}

// wish is a wanted MTU and whose wish it is.
type wish struct {
	policy.Setting
	by string
	// kept: an admin's own <mtu>, which stays.
	kept bool
}

// flagMTU is whose wish a number on the command line is.
const flagMTU = "--mtu"

// wish finds the first of the admin's wishes that applies to a NIC.
func (pl *planner) wish(n *NIC) wish {
	w := wish{Setting: pl.Config.MTU, by: "the config"}
	if r, number := pl.Config.Match(pl.subject(n)); number != 0 {
		w = wish{Setting: r.MTU, by: fmt.Sprintf("rule %d of the config", number)}
	}
	if pl.domain != nil {
		w = wish{Setting: *pl.domain, by: "the domain's metadata"}
	}
	if pl.MTU != 0 && (w.Kind != policy.Ignore || !pl.All) {
		w = wish{Setting: policy.Setting{Kind: policy.Fixed, MTU: pl.MTU}, by: flagMTU}
	}
	if n.XML.MTU != 0 && !n.Ours && !pl.Force && w.Kind != policy.Ignore {
		w = wish{Setting: policy.Setting{Kind: policy.Fixed, MTU: n.XML.MTU}, by: "the definition", kept: true}
	}
	n.Asked = w.by == flagMTU
	return w
}

// subject is what the config's rules match on. A network NIC counts by its bridge
// too, where that is known.
func (pl *planner) subject(n *NIC) policy.NIC {
	return policy.NIC{Domain: pl.Domain.Name, Network: n.XML.Network, Bridge: n.Segment.Bridge, MAC: n.XML.MAC, Model: n.XML.Model}
}

func (pl *planner) nic(x domxml.NIC) NIC {
	model, modelKnown := nicmodel.Lookup(x.Model)
	iftype := nicmodel.LookupType(x.Type)
	n := NIC{XML: x, Set: x.MTU, Told: told(x), Ours: pl.owned.Owns(x.MAC, x.MTU)}
	n.Segment = pl.Host.Segment(x)
	if pl.Networks != nil && !On(x, pl.Networks) {
		n.Action, n.Reason, n.Ignored = Skip, elsewhereNIC, true
		return n
	}
	w := pl.wish(&n)
	if !iftype.Inject {
		n.Ignored = w.Kind == policy.Ignore
		return n.skip(iftype.Why)
	}
	switch w.Kind {
	case policy.Ignore:
		n.Ignored = true
		return n.skip("ignored, says " + w.by)
	case policy.Fixed:
		n.Target = w.MTU
	case policy.Inherit:
		if n.Segment.Certainty != Known {
			n.Open = x.MTU == 0
			n.Hint = "to give it one all the same, name the number: --mtu N, a [[rule]] of " + policy.DefaultPath + ", or the domain's metadata"
			return n.skip(n.Segment.unknown())
		}
		n.Target = n.Segment.MTU
	}
	switch {
	case x.Type == "network" && pl.Mode != Filter && n.Segment.Bridge == "":
		return n.skip(n.Segment.Why + ", and libvirt takes <mtu> only where there is a bridge")
	case x.Model == "":
		return n.skip("it has no <model>, so what it can carry is not known")
	case !modelKnown:
		return n.skip(fmt.Sprintf("what a %s can carry is not known", x.Model))
	case n.Target > model.Max:
		return pl.incapable(n, model, w)
	}
	if over := n.aboveSegment(w); over != "" {
		n.Warnings = append(n.Warnings, over)
	}
	if w.kept {
		n.Action, n.Reason = None, "written by an admin: kept"
		return n
	}
	return pl.settle(n, w)
}

// told is how the guest of a NIC learns its MTU. Where libvirt takes no <mtu>,
// not even virtio tells.
func told(x domxml.NIC) nicmodel.Told {
	model, ok := nicmodel.Lookup(x.Model)
	if !ok || !nicmodel.LookupType(x.Type).Takes {
		return nicmodel.ToldNo
	}
	return model.Told
}

// settle chooses the action for a NIC that can carry its target and whose <mtu>
// is ours to choose.
func (pl *planner) settle(n NIC, w wish) NIC {
	entry, _ := pl.owned.Of(n.XML.MAC)
	want := n.Target
	if want == nicmodel.Standard && (n.XML.MTU == 0 || n.Ours && entry.Before == 0) {
		// A NIC that is told nothing runs at 1500 already. Where an admin's value
		// stood, 1500 has to stand too: the record of it lives only as long as ours.
		want = 0
	}
	n.Reason = n.reason(w)
	switch {
	case want == n.XML.MTU:
		n.Action = None
		return n
	case n.Target > maxTap:
		return n.skip(fmt.Sprintf("a tap carries at most %d: with more the domain would not start", maxTap))
	case n.XML.Unmanaged && !pl.tapCarries(&n):
		return n.skip(fmt.Sprintf("managed='no': tap %q is not known to carry %d", n.XML.Target, n.Target))
	case pl.Mode != Filter && (n.XML.MAC == "" || pl.macs[n.XML.MAC] > 1):
		return n.skip("its MAC address is not its own, so the record of what was changed could not tell it apart")
	}
	down := effective(want) < effective(n.XML.MTU)
	switch {
	case pl.Mode == Upward && n.Ours && entry.Asked:
		n.Action, n.Reason = None, fmt.Sprintf("%s; stays at %d, which somebody asked for", n.Reason, n.XML.MTU)
		return n
	case pl.Mode == Upward && n.XML.MTU != 0 && n.Ours && !pl.Config.FollowBridge && w.Kind == policy.Inherit:
		n.Action, n.Reason = None, fmt.Sprintf("%s; stays at %d: follow_bridge = false", n.Reason, n.XML.MTU)
		return n
	case pl.Mode == Upward && n.XML.MTU != 0 && (down || want == 0):
		n.Action, n.Reason = None, fmt.Sprintf("%s; stays at %d until somebody runs fix", n.Reason, n.XML.MTU)
		return n
	case down && w.Kind == policy.Inherit && n.Segment.Held() && !pl.Lower:
		n = n.skip(n.Segment.held() + ": not lowered")
		n.Hint = "raise that port or the bridge (ip link set dev PORT mtu N); to lower the guest, add --lower"
		return n
	}
	n.Set = want
	switch {
	case n.XML.MTU == 0:
		n.Action = Inject
	case want == 0:
		n.Action = Remove
	default:
		n.Action = Update
	}
	return n
}

// incapable is for a model that cannot carry its target.
func (pl *planner) incapable(n NIC, m nicmodel.Model, w wish) NIC {
	why := fmt.Sprintf("model %s carries at most %d, but %s", m.Name, m.Max, n.reason(w))
	n.Hint = fmt.Sprintf("give the NIC <model type='virtio'/> (virsh edit %s), or leave it alone: mtu = \"ignore\" in a [[rule]] of %s",
		ShellWord(pl.Domain.Name), policy.DefaultPath)
	if pl.Config.Incapable == policy.IncapableRefuse || pl.Config.Incapable == policy.IncapableExplicit && w.Kind == policy.Fixed {
		n.Action, n.Reason = Refuse, why
		return n
	}
	if entry, _ := pl.owned.Of(n.XML.MAC); n.Ours && entry.Before == 0 && pl.Mode == Explicit {
		n.Action, n.Set, n.Reason = Remove, 0, why
		return n
	}
	n.Warnings = append(n.Warnings, why)
	return n.skip(fmt.Sprintf("left as it is: incapable = %q", pl.Config.Incapable))
}

// aboveSegment warns of a number that somebody asked for and the segment does not
// carry; empty where there is nothing to say.
func (n *NIC) aboveSegment(w wish) string {
	if w.Kind != policy.Fixed || n.Segment.Certainty == Unknown || n.Target <= n.Segment.MTU {
		return ""
	}
	if limit, _ := n.Segment.limit(); limit.Certainty == Known && limit.MTU >= n.Target {
		return fmt.Sprintf("%s, more than bridge %s has (%d): %s", n.reason(w), n.Segment.Bridge, n.Segment.BridgeMTU, bridgeAlone)
	}
	return fmt.Sprintf("%s, more than the segment carries (%s): larger packets will vanish", n.reason(w), n.Segment.Why)
}

// reason says where the target comes from.
func (n *NIC) reason(w wish) string {
	if w.Kind == policy.Inherit {
		return n.Segment.Why
	}
	return fmt.Sprintf("%s says %d", w.by, n.Target)
}

// tapCarries reports whether a tap that libvirt does not manage is known to carry
// the target.
func (pl *planner) tapCarries(n *NIC) bool {
	tap, ok := pl.Host.link(n.XML.Target)
	return ok && tap.Tap && tap.MTU >= n.Target
}

func (n NIC) skip(why string) NIC {
	if n.Ours {
		why += fmt.Sprintf("; the %d that virt-mtu put in stays (fix --undo takes it out)", n.XML.MTU)
	}
	n.Action, n.Reason, n.Set = Skip, why, n.XML.MTU
	return n
}

// effective is the MTU that a definition's value comes to.
func effective(mtu int) int {
	if mtu == 0 {
		return nicmodel.Standard
	}
	return mtu
}
