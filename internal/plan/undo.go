package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/owned"
)

// Undo plans to take out of a definition exactly what the record says virt-mtu put
// in: what stood there before comes back. A value that is not the record's is
// somebody's own, and stays. networks, where not nil, are the only ones whose NICs count.
func Undo(d domxml.Domain, networks []string) (Plan, error) {
	record, err := owned.FromMetadata(d.Metadata)
	if err != nil {
		return Plan{}, err
	}
	var p Plan
	for _, x := range d.NICs {
		n := NIC{XML: x, Set: x.MTU, Told: told(x), Action: None, Ours: record.Owns(x.MAC, x.MTU)}
		entry, recorded := record.Of(x.MAC)
		switch {
		case networks != nil && !On(x, networks):
			n.Action, n.Reason, n.Ignored = Skip, elsewhereNIC, true
		case n.Ours && entry.Before == 0:
			n.Action, n.Set = Remove, 0
			n.Reason = "put in by virt-mtu"
		case n.Ours:
			n.Action, n.Set, n.Target = Update, entry.Before, entry.Before
			n.Reason = fmt.Sprintf("%d stood there before virt-mtu", entry.Before)
		case recorded && x.MTU != entry.Before:
			n.Reason = "changed by somebody since virt-mtu set it: kept"
		default:
			n.Reason = "not virt-mtu's"
		}
		p.NICs = append(p.NICs, n)
	}
	return p, nil
}

// elsewhereNIC is why a NIC is left alone where only those on some networks are worked on.
const elsewhereNIC = "not on that network"

// On reports whether a NIC is on one of the libvirt networks.
func On(x domxml.NIC, networks []string) bool {
	return x.Type == "network" && slices.Contains(networks, x.Network)
}
