package owned

import (
	"fmt"

	"virt-mtu/internal/domxml"
)

// Network is what virt-mtu put into a libvirt network: its own <mtu>, in bytes of IP
// packet, 0: none. It is written in the same moment as the <mtu>, by the network's
// definition, so nothing is ever under way.
type Network struct {
	Before int // what undo brings back
	Set    int // what virt-mtu set
}

// XML returns the node for a network's <metadata>, with its namespace.
func (n Network) XML() string {
	return fmt.Sprintf("<%s:network xmlns:%s='%s' before='%d' set='%d'/>", Key, Key, URI, n.Before, n.Set)
}

// NetworkFromMetadata reads the record out of a network's metadata; nil where there is
// none, ErrDamaged where it does not parse.
func NetworkFromMetadata(meta map[string]domxml.Element) (*Network, error) {
	node, ok := meta[URI]
	if !ok {
		return nil, nil
	}
	damaged := func(err error) error { return fmt.Errorf("%w: metadata %s: %w", ErrDamaged, URI, err) }
	if node.Name.Local != "network" || len(node.Children) > 0 {
		return nil, damaged(fmt.Errorf("element %.40q is not a network's", node.Name.Local))
	}
	var e Entry
	for _, a := range node.Attrs {
		if err := e.number(a); err != nil {
			return nil, damaged(err)
		}
	}
	if e.Set == 0 || e.Next != 0 {
		return nil, damaged(fmt.Errorf("it does not say what was set"))
	}
	return &Network{Before: e.Before, Set: e.Set}, nil
}
