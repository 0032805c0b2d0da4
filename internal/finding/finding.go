// Package finding holds the stable codes of what virt-mtu can find wrong, with
// the severity of each. It is a table; who finds what is elsewhere.
package finding

import (
	"cmp"
	"slices"
)

// Severity of a finding, and status of what it is about.
type Severity string

const (
	OK       Severity = "ok"
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
	Unknown  Severity = "unknown"
)

// Code names one kind of finding. Codes are a contract: scripts match on them.
type Code string

const (
	GuestAboveSegment    Code = "guest-above-segment"
	GuestAboveBridge     Code = "guest-above-bridge" // whose uplinks are not known, or which has none
	OverlayAboveUnderlay Code = "overlay-above-underlay"
	BridgeAboveUplink    Code = "bridge-above-uplink"
	ModelCannotCarry     Code = "model-cannot-carry"
	VFAbovePF            Code = "vf-above-pf"
	OVSPortLimits        Code = "ovs-port-limits"
	ConfigInvalid        Code = "config-invalid"

	GuestNotTold      Code = "guest-not-told"
	TapBelowBridge    Code = "tap-below-bridge"
	BridgeBelowUplink Code = "bridge-below-uplink"
	PeerMismatch      Code = "peer-mismatch"
	NeedsColdStart    Code = "needs-cold-start"
	UnmanagedTap      Code = "unmanaged-tap"
	MacvtapBelowLower Code = "macvtap-below-lower"
	VethEndsDiffer    Code = "veth-ends-differ"
	BridgeMissing     Code = "bridge-missing"
	HookNotLoaded     Code = "hook-not-loaded"
	HookShadowed      Code = "hook-shadowed"
	SELinuxEnforcing  Code = "selinux-enforcing"

	HookMissing   Code = "hook-missing"
	WaitsForGuest Code = "waits-for-guest"

	// NotKnown: something on the way could not be read or cannot be known.
	NotKnown Code = "not-known"
)

var severities = map[Code]Severity{
	GuestAboveSegment:    Critical,
	GuestAboveBridge:     Critical,
	OverlayAboveUnderlay: Critical,
	BridgeAboveUplink:    Critical,
	ModelCannotCarry:     Critical,
	VFAbovePF:            Critical,
	OVSPortLimits:        Critical,
	ConfigInvalid:        Critical,

	GuestNotTold:      Warning,
	TapBelowBridge:    Warning,
	BridgeBelowUplink: Warning,
	PeerMismatch:      Warning,
	NeedsColdStart:    Warning,
	UnmanagedTap:      Warning,
	MacvtapBelowLower: Warning,
	VethEndsDiffer:    Warning,
	BridgeMissing:     Warning,
	HookNotLoaded:     Warning,
	HookShadowed:      Warning,
	SELinuxEnforcing:  Warning,

	HookMissing:   Info,
	WaitsForGuest: Info,

	NotKnown: Unknown,
}

// Known reports whether a code is one of the table.
func Known(c Code) bool {
	_, known := severities[c]
	return known
}

// ranks order severities for Worst: info counts as ok.
var ranks = map[Severity]int{OK: 0, Info: 0, Unknown: 1, Warning: 2, Critical: 3}

// rank takes a severity that is none of ours, as another virt-mtu may have, for unknown.
func rank(s Severity) int {
	if r, ok := ranks[s]; ok {
		return r
	}
	return ranks[Unknown]
}

// Worst returns the status that findings come to: critical, warning, unknown or ok.
func Worst(all []Finding) Severity {
	worst := OK
	for _, f := range all {
		worst = Worse(worst, f.Severity)
	}
	return worst
}

// Worse returns the worse of two, in the order critical, warning, unknown, ok; info
// is ok, and what is none of these is unknown.
func Worse(a, b Severity) Severity {
	switch max(rank(a), rank(b)) {
	case ranks[Critical]:
		return Critical
	case ranks[Warning]:
		return Warning
	case ranks[Unknown]:
		return Unknown
	}
	return OK
}

// repair has the codes in the order of repair, from the wire to the guest.
var repair = []Code{
	ConfigInvalid, NotKnown, OverlayAboveUnderlay, VFAbovePF, VethEndsDiffer, BridgeMissing, BridgeAboveUplink, BridgeBelowUplink,
	MacvtapBelowLower, PeerMismatch, OVSPortLimits, UnmanagedTap, TapBelowBridge, ModelCannotCarry, GuestAboveSegment, GuestAboveBridge,
	GuestNotTold, NeedsColdStart, WaitsForGuest,
}

// Order orders findings: the worst first, of one severity from the wire to the guest.
func Order(a, b Finding) int {
	if c := Compare(a.Severity, b.Severity); c != 0 {
		return c
	}
	return slices.Index(repair, a.Code) - slices.Index(repair, b.Code)
}

// Compare orders severities, the worst first; info stands before ok.
func Compare(a, b Severity) int {
	if rank(a) != rank(b) {
		return rank(b) - rank(a)
	}
	return cmp.Compare(a, b)
}

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // one sentence: what and why
	Remedy   string   `json:"remedy"`  // what to paste or to write; empty: nothing
}

// New makes a finding with its code's own severity.
func New(code Code, message, remedy string) Finding {
	return Finding{Code: code, Severity: severities[code], Message: message, Remedy: remedy}
}
