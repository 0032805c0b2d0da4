package render

import (
	"slices"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

// shown has the kinds of node by which a picture shows a finding: the first of them
// that is on the path, else the guest. What is not here is the guest's own.
var shown = map[finding.Code][]plan.NodeKind{
	finding.OverlayAboveUnderlay: {plan.NodeUplink, plan.NodeUnderlay},
	finding.BridgeAboveUplink:    {plan.NodeBridge},
	finding.BridgeBelowUplink:    {plan.NodeBridge},
	finding.BridgeMissing:        {plan.NodeBridge, plan.NodeOVS, plan.NodeNetwork},
	finding.VFAbovePF:            {plan.NodeVF},
	finding.OVSPortLimits:        {plan.NodeOVS},
	finding.TapBelowBridge:       {plan.NodeTap},
	finding.UnmanagedTap:         {plan.NodeTap},
	finding.MacvtapBelowLower:    {plan.NodeMacvtap},
	finding.PeerMismatch:         {plan.NodePeer},
	finding.VethEndsDiffer:       {plan.NodePeer},
}

// shownAt returns the index of the node by which to show a finding: the bottleneck,
// if it is of a fitting kind.
func shownAt(code finding.Code, path []plan.Node) int {
	kinds := shown[code]
	for i := range path {
		if path[i].Bottleneck && slices.Contains(kinds, path[i].Kind) {
			return i
		}
	}
	for _, kind := range kinds {
		i := slices.IndexFunc(path, func(n plan.Node) bool { return n.Kind == kind })
		if i >= 0 {
			return i
		}
	}
	return 0
}
