package check

import (
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

// Report is the JSON of check. Its keys are a contract: all are always there,
// lists empty and not null, strings empty and numbers 0 where there is nothing.
// MTUs are in bytes of IP packet.
type Report struct {
	Status finding.Severity `json:"status"` // the worst of all below
	Hosts  []Host           `json:"hosts"`
	// Moves says which domain could migrate to which of the other hosts, where that is
	// asked for.
	Moves []Move `json:"moves"`
}

// Host is one host.
type Host struct {
	Name string `json:"name"`
	// Findings that are about the host as a whole, or about links that are on no
	// NIC's path.
	Findings []finding.Finding `json:"findings"`
	Domains  []Domain          `json:"domains"`
}

// Domain is one libvirt domain.
type Domain struct {
	Name       string      `json:"name"`
	UUID       string      `json:"uuid"`
	State      string      `json:"state"` // libvirt's words; empty: not known
	Interfaces []Interface `json:"interfaces"`
}

// Interface is one NIC of a domain.
type Interface struct {
	MAC    string           `json:"mac"` // empty for a passed-through PCI device
	Model  string           `json:"model"`
	Status finding.Severity `json:"status"`
	Type   string           `json:"type"`   // libvirt's interface type, or hostdev
	Source string           `json:"source"` // bridge, network, lower device or PCI address, as the XML names it
	Bridge string           `json:"bridge"` // the bridge that it comes down to; empty: none
	Device string           `json:"device"` // its tap, where the domain runs
	// GuestMTU is what the guest works with as far as that can be known from
	// outside; 0: not known.
	GuestMTU int `json:"guest_mtu"`
	// PathMTU is what gets through from the guest to the wire; 0: not known.
	PathMTU int `json:"path_mtu"`
	// Path is a tree from the guest to the wire, flat: each node after its parent.
	Path     []plan.Node       `json:"path"`
	Findings []finding.Finding `json:"findings"`
}

// Move is whether one domain could migrate to one other host.
type Move struct {
	Domain string `json:"domain"`
	State  string `json:"state"` // libvirt's words; empty: not known
	From   string `json:"from"`
	To     string `json:"to"`
	// Verdict is yes, no or unknown.
	Verdict  string            `json:"verdict"`
	Findings []finding.Finding `json:"findings"`
}

// The verdicts.
const (
	Yes       = "yes"
	No        = "no"
	Undecided = "unknown"
)
