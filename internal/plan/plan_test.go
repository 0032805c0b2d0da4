package plan

import (
	"encoding/xml"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/owned"
	"virt-mtu/internal/policy"
)

const mac = "52:54:00:00:00:01"

// nic returns a virtio NIC on br0 with changes.
func nic(change ...func(*domxml.NIC)) domxml.NIC {
	n := domxml.NIC{Type: "bridge", MAC: mac, Model: "virtio", Bridge: "br0"}
	for _, f := range change {
		f(&n)
	}
	return n
}

func model(m string) func(*domxml.NIC) { return func(n *domxml.NIC) { n.Model = m } }
func mtu(v int) func(*domxml.NIC)      { return func(n *domxml.NIC) { n.MTU = v } }
func target(d string) func(*domxml.NIC) {
	return func(n *domxml.NIC) { n.Target = d }
}
func on(typ, where string) func(*domxml.NIC) {
	return func(n *domxml.NIC) {
		n.Type, n.Bridge = typ, ""
		switch typ {
		case "network":
			n.Network = where
		case "bridge":
			n.Bridge = where
		default:
			n.Dev = where
		}
	}
}

// bridge returns a Snapshot of br0 at an MTU with ports given as "name kind mtu";
// kind tap is a tap.
func bridge(mtu int, ports ...string) host.Snapshot {
	s := host.Snapshot{Links: []host.Link{{Name: "br0", MTU: mtu, Kind: "bridge"}}}
	for _, p := range ports {
		l := host.Link{Master: "br0"}
		if _, err := fmt.Sscan(p, &l.Name, &l.Kind, &l.MTU); err != nil {
			panic(err)
		}
		if l.Kind == "tap" {
			l.Kind, l.Tap = "tun", true
		}
		l.Away = l.Kind == "veth"
		s.Links = append(s.Links, l)
	}
	return s
}

func topology(s host.Snapshot) *Topology { return NewTopology(&s) }

func networks(s host.Snapshot, n ...host.Network) host.Snapshot {
	s.Networks = n
	return s
}

func config(t *testing.T, text string) policy.Config {
	t.Helper()
	c, err := policy.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// recorded is the metadata of a domain whose NIC virt-mtu took from one MTU to another.
func recorded(before, set int) map[string]domxml.Element {
	attr := func(name string, v any) xml.Attr {
		return xml.Attr{Name: xml.Name{Local: name}, Value: fmt.Sprint(v)}
	}
	return map[string]domxml.Element{owned.URI: {
		Name:     xml.Name{Space: owned.URI, Local: "nics"},
		Children: []domxml.Element{{Name: xml.Name{Space: owned.URI, Local: "nic"}, Attrs: []xml.Attr{attr("mac", mac), attr("before", before), attr("set", set)}}},
	}}
}

// asked is the metadata of a domain that virt-mtu gave a number that somebody named.
func asked(set int) map[string]domxml.Element {
	meta := recorded(0, set)
	nic := &meta[owned.URI].Children[0]
	nic.Attrs = append(nic.Attrs, xml.Attr{Name: xml.Name{Local: "asked"}, Value: "yes"})
	return meta
}

func own(mtu string) map[string]domxml.Element {
	return map[string]domxml.Element{policy.MetadataURI: {
		Name:  xml.Name{Space: policy.MetadataURI, Local: "domain"},
		Attrs: []xml.Attr{{Name: xml.Name{Local: "mtu"}, Value: mtu}},
	}}
}

// got is the part of a NIC's plan that the tables state.
type got struct {
	Action Action
	Target int
	Set    int
}

func TestMake(t *testing.T) {
	tests := []struct {
		name   string
		nic    domxml.NIC
		host   host.Snapshot
		config string
		meta   map[string]domxml.Element
		in     Input // Mode, MTU, Force, Lower
		want   got
		why    string // in Reason, Hint or Warnings
	}{
		// Rule 1, the target.
		{name: "inherits the bridge", nic: nic(), host: bridge(9000), want: got{Inject, 9000, 9000}, why: "bridge br0 has 9000"},
		{name: "capped by the uplink", nic: nic(), host: bridge(9000, "eth0 e1000e 4000"), want: got{Inject, 4000, 4000}, why: "uplink eth0 of bridge br0 has 4000"},
		{name: "the smallest uplink", nic: nic(), host: bridge(9000, "eth0 ixgbe 9000", "eth1 ixgbe 2000"), want: got{Inject, 2000, 2000}},
		{name: "a tap is no uplink", nic: nic(), host: bridge(9000, "vnet7 tap 1500"), want: got{Inject, 9000, 9000}},
		{name: "a veth beside an uplink is none", nic: nic(), host: bridge(9000, "eth0 ixgbe 9000", "veth1 veth 1500"), want: got{Inject, 9000, 9000}},
		{name: "a veth alone is one", nic: nic(), host: bridge(9000, "veth1 veth 4000"), want: got{Inject, 4000, 4000}},
		{name: "below 1500", nic: nic(), host: bridge(1450), want: got{Inject, 1450, 1450}},
		{name: "1500 needs no mtu", nic: nic(), host: bridge(1500), want: got{None, 1500, 0}},
		{name: "a tunnel uplink bounds only", nic: nic(), host: bridge(9000, "vx0 vxlan 8950"), want: got{Skip, 0, 0}, why: "a tunnel may carry less"},
		{name: "no such bridge", nic: nic(), host: host.Snapshot{}, want: got{Skip, 0, 0}, why: `no bridge "br0"`},
		{name: "not a bridge", nic: nic(on("bridge", "eth0")), host: host.Snapshot{Links: []host.Link{{Name: "eth0", Kind: "ixgbe", MTU: 9000}}}, want: got{Skip, 0, 0}, why: "eth0 is not a bridge"},
		{name: "Open vSwitch", nic: nic(func(n *domxml.NIC) { n.VirtualPort = "openvswitch" }), host: bridge(9000), want: got{Skip, 0, 0}, why: "Open vSwitch"},
		{name: "Open vSwitch, asked for", nic: nic(func(n *domxml.NIC) { n.VirtualPort = "openvswitch" }), host: bridge(9000), in: Input{MTU: 9000}, want: got{Inject, 9000, 9000}},
		{name: "a network's own mtu", nic: nic(on("network", "n1")), host: networks(bridge(1500), host.Network{Name: "n1", Bridge: "br0", MTU: 4000}), want: got{Inject, 4000, 4000}, why: "network n1 has 4000"},
		{name: "a network's bridge", nic: nic(on("network", "n1")), host: networks(bridge(9000), host.Network{Name: "n1", Bridge: "br0"}), want: got{Inject, 9000, 9000}},
		{name: "a network that libvirt resolved", nic: nic(on("network", "n1"), func(n *domxml.NIC) { n.Bridge = "br0" }), host: bridge(9000), want: got{Inject, 9000, 9000}},
		{name: "a network not known", nic: nic(on("network", "n1")), host: bridge(9000), want: got{Skip, 0, 0}, why: "not known"},
		{name: "a network not known, asked for", nic: nic(on("network", "n1")), host: bridge(9000), in: Input{MTU: 9000}, want: got{Skip, 9000, 0}, why: "only where there is a bridge"},
		{name: "a network not known, in a filter", nic: nic(on("network", "n1")), in: Input{MTU: 9000, Mode: Filter}, want: got{Inject, 9000, 9000}},
		{name: "a macvtap pool", nic: nic(on("network", "n1")), host: networks(bridge(9000), host.Network{Name: "n1", Forward: "passthrough"}), want: got{Skip, 0, 0}, why: "no bridge"},
		{name: "an admin's own stays", nic: nic(mtu(2000)), host: bridge(9000), want: got{None, 2000, 2000}, why: "kept"},
		{name: "an admin's own above the segment", nic: nic(mtu(9000)), host: bridge(1500), want: got{None, 9000, 9000}, why: "will vanish"},
		{name: "an admin's own before --mtu", nic: nic(mtu(2000)), host: bridge(9000), in: Input{MTU: 4000}, want: got{None, 2000, 2000}},
		{name: "by force", nic: nic(mtu(2000)), host: bridge(9000), in: Input{Force: true}, want: got{Update, 9000, 9000}},
		{name: "by force to 1500 it stays visible", nic: nic(mtu(9000)), host: bridge(1500), in: Input{Force: true}, want: got{Update, 1500, 1500}},
		{name: "--mtu before metadata", nic: nic(), host: bridge(9000), meta: own("4000"), in: Input{MTU: 2000}, want: got{Inject, 2000, 2000}, why: "--mtu says 2000"},
		{name: "metadata before rules", nic: nic(), host: bridge(9000), meta: own("4000"), config: "[[rule]]\ndomain='*'\nmtu=2000", want: got{Inject, 4000, 4000}, why: "metadata says 4000"},
		{name: "a rule before the default", nic: nic(), host: bridge(9000), config: "mtu=4000\n[[rule]]\nbridge='br*'\nmtu=2000", want: got{Inject, 2000, 2000}, why: "rule 1"},
		{name: "the first rule that matches", nic: nic(), host: bridge(9000), config: "[[rule]]\nbridge='x*'\nmtu=2000\n[[rule]]\nmac='52:54:*'\nmtu=3000\n[[rule]]\nmodel='virtio'\nmtu=4000", want: got{Inject, 3000, 3000}, why: "rule 2"},
		{name: "the default", nic: nic(), host: bridge(9000), config: "mtu=4000", want: got{Inject, 4000, 4000}},
		{name: "an admin's own above the bridge alone", nic: nic(mtu(9000)), host: bridge(1500, "eth0 ixgbe 9000"), want: got{None, 9000, 9000}, why: "more than bridge br0 has (1500): the wire carries it"},
		{name: "asked for more than is carried", nic: nic(), host: bridge(1500), in: Input{MTU: 9000}, want: got{Inject, 9000, 9000}, why: "will vanish"},
		{name: "ignored by metadata", nic: nic(), host: bridge(9000), meta: own("ignore"), want: got{Skip, 0, 0}, why: "ignored"},
		{name: "ignored by a rule, with an mtu", nic: nic(mtu(2000)), host: bridge(9000), config: "[[rule]]\ndomain='web*'\nmtu='ignore'", want: got{Skip, 0, 2000}},
		{name: "--mtu for the ignored, named", nic: nic(), host: bridge(9000), meta: own("ignore"), in: Input{MTU: 4000}, want: got{Inject, 4000, 4000}},
		{name: "--mtu for all, ignored", nic: nic(), host: bridge(9000), meta: own("ignore"), in: Input{MTU: 4000, All: true}, want: got{Skip, 0, 0}},
		{name: "a rule on the bridge of a network", nic: nic(on("network", "n1")), host: networks(bridge(9000), host.Network{Name: "n1", Bridge: "br0"}), config: "[[rule]]\nbridge='br0'\nmtu=2000", want: got{Inject, 2000, 2000}},

		// Rule 2, where to inject.
		{name: "e1000", nic: nic(model("e1000")), host: bridge(9000), want: got{Inject, 9000, 9000}},
		{name: "no model", nic: nic(model("")), host: bridge(9000), want: got{Skip, 9000, 0}, why: "no <model>"},
		{name: "a model not known", nic: nic(model("spapr-vlan")), host: bridge(9000), want: got{Skip, 9000, 0}, why: "spapr-vlan"},
		{name: "direct", nic: nic(on("direct", "eth0")), host: bridge(9000), in: Input{MTU: 9000}, want: got{Skip, 0, 0}, why: "macvtap"},
		{name: "hostdev", nic: nic(on("hostdev", "")), in: Input{MTU: 9000}, want: got{Skip, 0, 0}},
		{name: "a type not known", nic: nic(on("warp", "")), in: Input{MTU: 9000}, want: got{Skip, 0, 0}},
		{name: "ethernet inherits nothing", nic: nic(on("ethernet", "")), host: bridge(9000), want: got{Skip, 0, 0}, why: "names no bridge"},
		{name: "ethernet, asked for", nic: nic(on("ethernet", "")), host: bridge(9000), in: Input{MTU: 9000}, want: got{Inject, 9000, 9000}},
		{name: "unmanaged, tap not there", nic: nic(on("ethernet", ""), target("t0"), func(n *domxml.NIC) { n.Unmanaged = true }), in: Input{MTU: 9000}, want: got{Skip, 9000, 0}, why: `tap "t0" is not known to carry 9000`},
		{name: "unmanaged, tap too small", nic: nic(on("ethernet", ""), target("t0"), func(n *domxml.NIC) { n.Unmanaged = true }), host: bridge(9000, "t0 tap 1500"), in: Input{MTU: 9000}, want: got{Skip, 9000, 0}},
		{name: "unmanaged, tap large enough", nic: nic(on("ethernet", ""), target("t0"), func(n *domxml.NIC) { n.Unmanaged = true }), host: bridge(9000, "t0 tap 9000"), in: Input{MTU: 9000}, want: got{Inject, 9000, 9000}},
		{name: "no MAC", nic: nic(func(n *domxml.NIC) { n.MAC = "" }), host: bridge(9000), want: got{Skip, 9000, 0}, why: "MAC"},
		{name: "no MAC, in a filter", nic: nic(func(n *domxml.NIC) { n.MAC = "" }), host: bridge(9000), in: Input{Mode: Filter}, want: got{Inject, 9000, 9000}},

		{name: "no more than a tap carries", nic: nic(), host: bridge(65535), want: got{Inject, 65521, 65521}},
		{name: "more than a tap carries, asked for", nic: nic(), host: bridge(9000), in: Input{MTU: 65535}, want: got{Skip, 65535, 0}, why: "would not start"},

		// Rule 3, what cannot work.
		{name: "rtl8139", nic: nic(model("rtl8139")), host: bridge(9000), want: got{Refuse, 9000, 0}, why: "rtl8139 carries at most 1500, but bridge br0 has 9000"},
		{name: "rtl8139 with a remedy", nic: nic(model("rtl8139")), host: bridge(9000), want: got{Refuse, 9000, 0}, why: "<model type='virtio'/> (virsh edit web1)"},
		{name: "rtl8139 where no bridge is", nic: nic(model("rtl8139"), on("network", "n1")), host: networks(bridge(9000), host.Network{Name: "n1", Forward: "passthrough"}), config: "mtu=9000", want: got{Skip, 9000, 0}},
		{name: "rtl8139 at 1500", nic: nic(model("rtl8139")), host: bridge(1500), want: got{None, 1500, 0}},
		{name: "rtl8139 on a bounded segment", nic: nic(model("rtl8139")), host: bridge(9000, "vx0 vxlan 8950"), want: got{Skip, 0, 0}},
		{name: "rtl8139 that an admin gave 9000", nic: nic(model("rtl8139"), mtu(9000)), host: bridge(1500), want: got{Refuse, 9000, 9000}},
		{name: "vmxnet3 above its 9000", nic: nic(model("vmxnet3")), host: bridge(9216), want: got{Refuse, 9216, 0}},
		{name: "clamp", nic: nic(model("rtl8139")), host: bridge(9000), config: "incapable='clamp'", want: got{Skip, 9000, 0}, why: "rtl8139 carries at most 1500"},
		{name: "clamp of our own", nic: nic(model("rtl8139"), mtu(9000)), host: bridge(9000), meta: recorded(0, 9000), config: "incapable='clamp'", want: got{Remove, 9000, 0}},
		{name: "explicit, inherited", nic: nic(model("rtl8139")), host: bridge(9000), config: "incapable='explicit'", want: got{Skip, 9000, 0}},
		{name: "explicit, asked for", nic: nic(model("rtl8139")), host: bridge(9000), config: "incapable='explicit'", in: Input{MTU: 9000}, want: got{Refuse, 9000, 0}},

		// Rules 5 and 6, ours, up and down.
		{name: "ours follows up", nic: nic(mtu(4000)), host: bridge(9000), meta: recorded(0, 4000), want: got{Update, 9000, 9000}},
		{name: "ours follows up by itself", nic: nic(mtu(4000)), host: bridge(9000), meta: recorded(0, 4000), in: Input{Mode: Upward}, want: got{Update, 9000, 9000}},
		{name: "ours follows down when asked", nic: nic(mtu(9000)), host: bridge(4000), meta: recorded(0, 9000), want: got{Update, 4000, 4000}},
		{name: "ours goes when 1500 is left", nic: nic(mtu(9000)), host: bridge(1500), meta: recorded(0, 9000), want: got{Remove, 1500, 0}},
		{name: "ours stays when nobody asked", nic: nic(mtu(9000)), host: bridge(1500), meta: recorded(0, 9000), in: Input{Mode: Upward}, want: got{None, 1500, 9000}, why: "until somebody runs fix"},
		{name: "a dragged bridge lowers nothing", nic: nic(mtu(9000)), host: bridge(1500, "eth0 ixgbe 9000", "vnet3 tap 1500"), meta: recorded(0, 9000), want: got{Skip, 1500, 9000}, why: "port vnet3 has 1500"},
		{name: "a pinned bridge lowers nothing", nic: nic(mtu(9000)), host: bridge(1500, "eth0 ixgbe 9000"), meta: recorded(0, 9000), want: got{Skip, 1500, 9000}, why: "--lower"},
		{name: "but with --lower", nic: nic(mtu(9000)), host: bridge(1500, "eth0 ixgbe 9000"), meta: recorded(0, 9000), in: Input{Lower: true}, want: got{Remove, 1500, 0}},
		{name: "a number asked for lowers without it", nic: nic(mtu(9000)), host: bridge(1500, "eth0 ixgbe 9000"), meta: recorded(0, 9000), in: Input{MTU: 4000}, want: got{Update, 4000, 4000}},
		{name: "1400 up to 1500 takes it out", nic: nic(mtu(1400)), host: bridge(1500), meta: recorded(0, 1400), want: got{Remove, 1500, 0}},
		{name: "but not by itself", nic: nic(mtu(1400)), host: bridge(1500), meta: recorded(0, 1400), in: Input{Mode: Upward}, want: got{None, 1500, 1400}},
		{name: "where an admin's value stood, 1500 stands", nic: nic(mtu(9000)), host: bridge(1500), meta: recorded(2000, 9000), want: got{Update, 1500, 1500}},
		{name: "and goes on standing", nic: nic(mtu(1500)), host: bridge(1500), meta: recorded(9000, 1500), want: got{None, 1500, 1500}},
		{name: "a number asked for follows no bridge by itself", nic: nic(mtu(4000)), host: bridge(9000), meta: asked(4000), in: Input{Mode: Upward}, want: got{None, 9000, 4000}, why: "somebody asked for"},
		{name: "but when fix is run", nic: nic(mtu(4000)), host: bridge(9000), meta: asked(4000), want: got{Update, 9000, 9000}},
		{name: "a tap that holds a bridge without uplinks down", nic: nic(mtu(9000)), host: bridge(1400, "vnet1 tap 1400", "vnet2 tap 9000"), meta: recorded(0, 9000), want: got{Skip, 1400, 9000}, why: "port vnet1 has 1400"},
		{name: "a bridge without uplinks below all its taps was set there", nic: nic(mtu(9000)), host: bridge(4000, "vnet2 tap 9000"), meta: recorded(0, 9000), want: got{Update, 4000, 4000}},
		{name: "what is left of ours is said", nic: nic(mtu(9000), on("network", "n1")), host: networks(bridge(9000), host.Network{Name: "n1", Forward: "passthrough"}), meta: recorded(0, 9000), want: got{Skip, 0, 9000}, why: "the 9000 that virt-mtu put in stays"},
		{name: "what somebody changed is his", nic: nic(mtu(2000)), host: bridge(9000), meta: recorded(0, 4000), want: got{None, 2000, 2000}},
		{name: "a filter keeps what is there", nic: nic(mtu(4000)), host: bridge(9000), meta: recorded(0, 4000), in: Input{Mode: Filter}, want: got{None, 4000, 4000}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			in := tt.in
			in.Domain = domxml.Domain{Name: "web1", NICs: []domxml.NIC{tt.nic}, Metadata: tt.meta}
			in.Host, in.Config = topology(tt.host), config(t, tt.config)
			p, err := Make(in)
			if err != nil {
				t.Fatal(err)
			}
			n := p.NICs[0]
			if d := cmp.Diff(tt.want, got{n.Action, n.Target, n.Set}); d != "" {
				t.Errorf("want-, got+:\n%s", d)
			}
			said := strings.Join(append([]string{n.Reason, n.Hint}, n.Warnings...), "\n")
			if !strings.Contains(said, tt.why) {
				t.Errorf("it does not say %q but:\n%s", tt.why, said)
			}
			if n.Reason == "" {
				t.Error("no reason")
			}
		})
	}
}

func TestMakeTwoNICsWithOneMAC(t *testing.T) {
	p, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{nic(), nic()}}, Host: topology(bridge(9000)), Config: policy.Default()})
	if err != nil {
		t.Fatal(err)
	}
	if edits := p.Edits(); len(edits) != 0 {
		t.Errorf("edits %v: the record could not tell the two apart", edits)
	}
}

func TestMakeRefusesMetadataItCannotRead(t *testing.T) {
	for _, meta := range []map[string]domxml.Element{
		own("ingore"),
		{owned.URI: {Children: []domxml.Element{{Name: xml.Name{Local: "nic"}}}}},
	} {
		if _, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{nic()}, Metadata: meta}, Host: topology(bridge(9000))}); err == nil {
			t.Errorf("no error for %v", meta)
		}
	}
}

func TestOpenAsksForMore(t *testing.T) {
	for name, tt := range map[string]struct {
		host host.Snapshot
		nic  domxml.NIC
		want bool
	}{
		"known":              {bridge(9000), nic(), false},
		"tunnel":             {bridge(9000, "vx0 vxlan 8950"), nic(), true},
		"tunnel and an mtu":  {bridge(9000, "vx0 vxlan 8950"), nic(mtu(8950)), false},
		"not a bridged type": {bridge(9000), nic(on("direct", "eth0")), false},
	} {
		p, err := Make(Input{Domain: domxml.Domain{NICs: []domxml.NIC{tt.nic}}, Host: topology(tt.host), Config: policy.Default(), Mode: Upward})
		if err != nil {
			t.Fatal(err)
		}
		if p.NICs[0].Open != tt.want {
			t.Errorf("%s: Open = %v", name, p.NICs[0].Open)
		}
	}
}

func TestUndo(t *testing.T) {
	for name, tt := range map[string]struct {
		nic  domxml.NIC
		meta map[string]domxml.Element
		want got
	}{
		"put in":          {nic(mtu(9000)), recorded(0, 9000), got{Remove, 0, 0}},
		"replaced":        {nic(mtu(9000)), recorded(4000, 9000), got{Update, 4000, 4000}},
		"changed since":   {nic(mtu(2000)), recorded(0, 9000), got{None, 0, 2000}},
		"gone since":      {nic(), recorded(0, 9000), got{None, 0, 0}},
		"never ours":      {nic(mtu(9000)), nil, got{None, 0, 9000}},
		"intended, no go": {nic(mtu(4000)), recorded(4000, 9000), got{None, 0, 4000}},
	} {
		p, err := Undo(domxml.Domain{NICs: []domxml.NIC{tt.nic}, Metadata: tt.meta}, nil)
		if err != nil {
			t.Fatal(err)
		}
		n := p.NICs[0]
		if d := cmp.Diff(tt.want, got{n.Action, n.Target, n.Set}); d != "" {
			t.Errorf("%s: want-, got+:\n%s", name, d)
		}
	}
}
