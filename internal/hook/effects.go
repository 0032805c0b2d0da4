package hook

import (
	"fmt"
	"os"
	"strings"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"
	"virt-mtu/internal/tap"
)

// surroundings reads what a domain's NICs touch, and no more: a host may have a
// thousand taps.
func surroundings(nics []domxml.NIC) (host.Snapshot, error) {
	var networks, links []string
	for _, n := range nics {
		if n.Network != "" {
			networks = append(networks, n.Network)
		}
		links = append(links, n.Bridge, n.Target)
	}
	return host.Read(links, networks)
}

// refuse turns the NICs that cannot work into a refusal. What came in by migrate
// or restore was judged there, and is refused nothing here.
func (c *call) refuse(p *plan.Plan, doc *domxml.Document) error {
	refused := p.Refused()
	if len(refused) == 0 {
		return nil
	}
	var no refusalError
	incoming := c.incoming(doc)
	for _, n := range refused {
		if incoming {
			c.say(priWarning, "NIC %s: %s; not refused, it comes from a migration or a saved state", n.XML.MAC, n.Reason)
			continue
		}
		c.say(priWarning, "refused: NIC %s: %s", n.XML.MAC, n.Reason)
		no.add("virt-mtu: domain %q refused: NIC %s: %s", c.guest, n.XML.MAC, n.Reason)
		no.add("hint: %s (to revert to a snapshot of it running, which looks like a start from here: the latter)", n.Hint)
	}
	if incoming {
		return nil
	}
	return &no
}

// arrive judges a guest that migrates to this host.
func (c *call) arrive(p *plan.Plan, policyOf policy.Migration) error {
	host, err := os.Hostname()
	if err != nil {
		host = "this host"
	}
	var no refusalError
	for _, a := range p.Arrivals(host) {
		switch {
		case a.Reason == "":
		case a.Blocked && policyOf == policy.MigrationRefuse:
			c.say(priWarning, "refused: NIC %s: %s", a.NIC.MAC, a.Reason)
			no.add("virt-mtu: migration of domain %q refused: NIC %s: %s", c.guest, a.NIC.MAC, a.Reason)
			no.add("hint: raise the MTU of that path on %s, or let it come with migration = \"warn\" in %s there", host, policy.DefaultPath)
		default:
			c.say(priWarning, "NIC %s: %s", a.NIC.MAC, a.Reason)
		}
	}
	if no.text != "" {
		return &no
	}
	return nil
}

// pin fixes the domain's bridges at their MTU, so that no port drags them. A bridge
// that may be dragged already is not pinned there.
func (c *call) pin(p *plan.Plan) {
	done := map[string]bool{}
	for _, n := range p.NICs {
		s := n.Segment
		if s.BridgeMTU == 0 || done[s.Bridge] || n.Ignored {
			continue
		}
		done[s.Bridge] = true
		if s.Held() {
			c.say(priWarning, "bridge %s not pinned: a port may be holding it down at %d", s.Bridge, s.BridgeMTU)
			continue
		}
		if err := tap.Pin(s.Bridge, s.BridgeMTU, &c.critical); err != nil {
			c.say(priError, "%v", err)
			continue
		}
		c.say(priInfo, "bridge %s pinned at %d", s.Bridge, s.BridgeMTU)
	}
}

// raise sets the taps that are too small, and reports whether one was set above its
// bridge.
func (c *call) raise(taps []plan.Tap) (above bool) {
	for _, t := range taps {
		switch {
		case t.Raise:
			if _, err := tap.Raise(t.Device, t.Bridge, t.Want); err != nil {
				c.say(priError, "NIC %s: %v", t.MAC, err)
				continue
			}
			above = above || t.Above
			c.say(priInfo, "NIC %s: tap %s: mtu %d -> %d: %s", t.MAC, t.Device, t.MTU, t.Want, t.Reason)
		case t.Want == 0:
			c.say(priInfo, "NIC %s: tap %.64q left as it is: %s", t.MAC, t.Device, t.Reason)
		}
	}
	return above
}

// queue leaves a request for fix where the definition lacks an <mtu>, or may lack
// one for all that can be seen from here. This start comes too early for it.
func (c *call) queue(p *plan.Plan, doc *domxml.Document, uninjected policy.Uninjected) error {
	var notes []string
	missing := false
	for _, n := range p.NICs {
		for _, w := range n.Warnings {
			c.say(priWarning, "NIC %s: %s", n.XML.MAC, w)
		}
		switch {
		case n.Action == plan.Inject:
			missing = true
			notes = append(notes, fmt.Sprintf("NIC %s lacks <mtu size='%d'/>: %s", n.XML.MAC, n.Set, n.Reason))
		case n.Changes():
			notes = append(notes, fmt.Sprintf("NIC %s has %d where %d belongs: %s", n.XML.MAC, n.XML.MTU, n.Set, n.Reason))
		case n.Open:
			notes = append(notes, fmt.Sprintf("NIC %s: %s", n.XML.MAC, n.Reason))
		}
	}
	if len(notes) == 0 || c.incoming(doc) {
		return nil
	}
	note := strings.Join(notes, "; ")
	if !c.remember(doc.UUID, func(d *state.Dir, uuid string) error { return d.Queue(uuid, note) }) {
		return nil
	}
	c.say(priInfo, "queued for virt-mtu fix: %s", note)
	if missing && uninjected == policy.UninjectedRefuse {
		var no refusalError
		no.add("virt-mtu: domain %q refused: %s", c.guest, note)
		no.add("hint: virt-mtu fix %s, and start it again; a transient domain or a snapshot has to bring its own, or uninjected = \"allow\" in %s",
			plan.ShellWord(c.guest), policy.DefaultPath)
		return &no
	}
	return nil
}

// remember changes the state kept about a domain, and reports whether that was
// done.
func (c *call) remember(uuid string, change func(*state.Dir, string) error) bool {
	dir, err := state.Open(state.DefaultBase)
	if err == nil {
		defer dir.Close()
		err = change(dir, uuid)
	}
	if err != nil {
		c.say(priError, "%v", err)
	}
	return err == nil
}
