package render

import (
	"fmt"
	"strconv"
	"strings"

	"virt-mtu/internal/oneline"
	"virt-mtu/internal/plan"
)

// bare are the kinds of node of which some have no MTU of their own, and what gets
// through is known all the same: patch and tunnel ports of Open vSwitch.
var bare = map[plan.NodeKind]bool{plan.NodeUplink: true, plan.NodePeer: true}

// unlimited reports whether a node sets no limit itself. A libvirt network without
// <mtu> sets none; nor does a bridge of Open vSwitch, whose MTU is its internal
// port's, which guests do not pass.
func unlimited(n *plan.Node) bool {
	return n.Kind == plan.NodeOVS || n.MTU == 0 && (n.Kind == plan.NodeNetwork || bare[n.Kind] && n.Carries != 0)
}

// row is one node of a path in columns.
type row struct {
	tree, name, mtu, note string
}

// path draws a path as a tree, from the guest down to the wire.
func (p *printer) path(indent int, path []plan.Node) {
	rows := tree(path)
	var kinds, names, mtus int
	for _, r := range rows {
		widen(&kinds, r.tree)
		widen(&names, r.name)
		widen(&mtus, r.mtu)
	}
	for _, r := range rows {
		p.line(indent, "%s  %s  %*s  %s", pad(r.tree, kinds), pad(r.name, names), mtus, r.mtu, r.note)
	}
}

func tree(path []plan.Node) []row {
	below := make([][]int, len(path))
	var rows []row
	var walk func(i int, branch, trunk string)
	walk = func(i int, branch, trunk string) {
		rows = append(rows, newRow(branch, &path[i]))
		for k, child := range below[i] {
			if k == len(below[i])-1 {
				walk(child, trunk+"└─ ", trunk+"   ")
			} else {
				walk(child, trunk+"├─ ", trunk+"│  ")
			}
		}
	}
	var roots []int
	for i := range path {
		if up, ok := parent(path, i); ok {
			below[up] = append(below[up], i)
		} else {
			roots = append(roots, i)
		}
	}
	for _, i := range roots {
		walk(i, "", "")
	}
	return rows
}

// parent returns the node before node i, toward the guest; false: it is the first.
func parent(path []plan.Node, i int) (int, bool) {
	up := path[i].Parent
	return up, up >= 0 && up < i
}

func newRow(branch string, n *plan.Node) row {
	r := row{tree: branch + string(n.Kind), name: name(n.Name)}
	switch {
	case n.MTU != 0:
		r.mtu = strconv.Itoa(n.MTU)
	case unlimited(n):
		r.mtu = "-"
	default:
		r.mtu = "unknown"
	}
	var notes []string
	through := fmt.Sprintf("%d gets through", n.Carries)
	switch {
	case n.Bottleneck && n.Carries != 0:
		notes = append(notes, "<-- bottleneck: "+through)
	case n.Bottleneck:
		notes = append(notes, "<-- bottleneck")
	case n.Carries != 0 && n.Carries != n.MTU:
		notes = append(notes, through)
	}
	if n.Note != "" {
		notes = append(notes, oneline.Text(n.Note, maxText))
	}
	r.note = strings.Join(notes, "; ")
	return r
}
