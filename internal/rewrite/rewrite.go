// Package rewrite is the filter: domain XML in, the same XML with its <mtu>
// elements out. It asks neither libvirt nor the host; what a bridge or a network
// carries, its caller says.
package rewrite

import (
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// Options are what the filter is told. MTUs in bytes of IP packet.
type Options struct {
	Config   policy.Config
	MTU      int // for every NIC; 0: not given
	Bridges  map[string]int
	Networks map[string]int
}

// Note is what there is to say of one NIC besides the output.
type Note struct {
	NIC     int // counted from 1, in the order of the XML
	MAC     string
	Text    string
	Hint    string
	Refused bool
}

// XML returns the rewritten domain and what to say about it. A refused NIC makes
// the output nil. The error is for input that is no domain.
func XML(src []byte, o Options) (out []byte, notes []Note, err error) {
	doc, err := domxml.Parse(src)
	if err != nil {
		return nil, nil, err
	}
	p, err := plan.Make(plan.Input{Domain: doc.Domain, Host: o.topology(), Config: o.Config, Mode: plan.Filter, MTU: o.MTU})
	if err != nil {
		return nil, nil, err
	}
	for i, n := range p.NICs {
		note := Note{NIC: i + 1, MAC: n.XML.MAC}
		for _, w := range n.Warnings {
			note.Text = w
			notes = append(notes, note)
		}
		note.Text, note.Hint = fmt.Sprintf("%s: %s", n.Action, n.Reason), n.Hint
		switch n.Action {
		case plan.Refuse:
			note.Refused = true
			notes = append(notes, note)
		case plan.Skip:
			if n.Open {
				note.Text, note.Hint = "left alone: what it is on carries is not known", o.hint(n.XML)
			}
			notes = append(notes, note)
		}
	}
	if len(p.Refused()) > 0 {
		return nil, notes, nil
	}
	return doc.Splice(p.Edits()), notes, nil
}

// topology is what the options come to: bridges without ports.
func (o *Options) topology() *plan.Topology {
	var s host.Snapshot
	for name, mtu := range o.Bridges {
		s.Links = append(s.Links, host.Link{Name: name, MTU: mtu, Kind: "bridge"})
	}
	for name, mtu := range o.Networks {
		s.Networks = append(s.Networks, host.Network{Name: name, MTU: mtu})
	}
	return plan.NewTopology(&s)
}

// hint says which option is missing.
func (o *Options) hint(n domxml.NIC) string {
	switch {
	case n.Network != "":
		return "say what it carries: --network " + plan.ShellWord(n.Network) + "=MTU"
	case n.Bridge != "":
		return "say what it carries: --bridge " + plan.ShellWord(n.Bridge) + "=MTU"
	}
	return "say what it should have: --mtu N"
}
