package calc

import (
	"virt-mtu/internal/encap"
	"virt-mtu/internal/neutron"
)

// Result is what an MTU comes to. Its JSON is a contract. MTUs are in bytes of IP
// packet, pings in bytes of payload (ping -s).
type Result struct {
	Underlay int           `json:"underlay"`
	Family   int           `json:"family"` // of the outer IP headers
	Layers   []encap.Layer `json:"layers"`
	MTU      int           `json:"mtu"`   // 0: neutron knows no limit
	Ping4    int           `json:"ping4"` // 0 also where IPv6 only is carried
	Ping6    int           `json:"ping6"`

	// Network is what neutron adds to the answer.
	*Network
	// Advertise is how guests are told; nil where nobody asked.
	Advertise []Line `json:"advertise,omitempty"`
}

// Network is the part of an answer that only neutron's rules give.
type Network struct {
	Type    string         `json:"network_type"`
	Maximum int            `json:"maximum"` // the largest MTU that it may have; 0: no limit is known
	Steps   []neutron.Step `json:"steps"`
}

// New returns the result of a stack of layers.
func New(underlay, family int, layers []encap.Layer, mtu int) Result {
	r := Result{Underlay: underlay, Family: family, Layers: layers, MTU: mtu}
	if mtu > 0 {
		r.Ping6 = encap.Ping(mtu, 6)
		if encap.Carries(layers, 4) {
			r.Ping4 = encap.Ping(mtu, 4)
		}
	}
	return r
}

// OfNetwork returns the result of neutron's rules.
func OfNetwork(o neutron.Options, a neutron.Answer) Result {
	r := New(a.Underlay, o.OverlayIPVersion, a.Layers, a.MTU)
	r.Network = &Network{o.NetworkType, a.Max, a.Steps}
	return r
}
