package fix

import (
	"strings"
	"testing"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/state"
)

// What is to be left alone keeps its link, and so does what would come in with an <mtu>
// that is for somewhere else.
func TestStaysIn(t *testing.T) {
	bridged := domxml.NIC{Type: "bridge", Bridge: "br0", Model: "virtio"}
	defined := Interface{Type: "bridge", Source: "br0", Model: "virtio", Told: "virtio"}
	network := Interface{Type: "network", Source: "lan", Model: "virtio", Told: "virtio"}
	ignored, e1000 := defined, defined
	ignored.ignored = true
	e1000.Model, e1000.Told = "e1000", "manual"
	with := func(n domxml.NIC, change func(*domxml.NIC)) domxml.NIC { change(&n); return n }
	for name, c := range map[string]struct {
		defined Interface
		live    domxml.NIC
		want    string // empty: it may go
	}{
		"as it is defined":               {defined, bridged, ""},
		"of a network":                   {network, domxml.NIC{Type: "network", Network: "lan", Bridge: "virbr0", Model: "virtio"}, ""},
		"of a network that has a bridge": {network, domxml.NIC{Type: "bridge", Network: "lan", Bridge: "br0", Model: "virtio"}, ""},
		"ignored":                        {ignored, bridged, "left alone"},
		"told nothing":                   {e1000, with(bridged, func(n *domxml.NIC) { n.Model = "e1000" }), "told nothing"},
		"another bridge":                 {defined, with(bridged, func(n *domxml.NIC) { n.Bridge = "br1" }), "something else"},
		"another network":                {network, domxml.NIC{Type: "network", Network: "dmz", Bridge: "virbr0", Model: "virtio"}, "something else"},
		"a bridge, and now a network":    {network, bridged, "something else"},
		"another model as it runs":       {defined, with(bridged, func(n *domxml.NIC) { n.Model = "e1000" }), "another model"},
	} {
		got := c.defined.staysIn(c.live)
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// A guest that an earlier run has asked for a NIC may still let go of it, whatever becomes
// of asking again.
func TestNoteTakenBack(t *testing.T) {
	dir, err := state.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	p := plug{Replug: &Replug{Record: dir}, domain: libvirt.Domain{UUID: "0b9bd0f1-6d0f-4b5c-9d4e-4d8f1d7d2a11"}}
	noted := func() string {
		t.Helper()
		xml, err := dir.Unplugged(p.domain.UUID)
		if err != nil {
			t.Fatal(err)
		}
		return xml
	}
	for _, earlier := range []string{"", "<interface/>"} {
		if earlier != "" {
			if err := dir.MarkUnplugged(p.domain.UUID, earlier); err != nil {
				t.Fatal(err)
			}
		}
		takeBack, err := p.note("<interface type='bridge'/>")
		if err != nil || strings.TrimSpace(noted()) != "<interface type='bridge'/>" {
			t.Fatalf("%v, noted %q", err, noted())
		}
		if err := takeBack(); err != nil || strings.TrimSpace(noted()) != earlier {
			t.Errorf("%v, noted %q afterwards, and %q before", err, noted(), earlier)
		}
	}
}

// What would be lost keeps a NIC in.
func TestHoldsOn(t *testing.T) {
	const plain, limited, paired = "<interface><mtu size='9000'/></interface>", "<interface><bandwidth/></interface>", "<interface><teaming type='persistent'/></interface>"
	for _, c := range []struct {
		live, plain string
		in          bool
	}{{plain, plain, false}, {limited, limited, false}, {limited, plain, true}, {paired, paired, true}} {
		if err := holdsOn(c.live, c.plain); (err != nil) != c.in {
			t.Errorf("%s, plain %s: %v", c.live, c.plain, err)
		}
	}
	doc := &domxml.Document{Domain: domxml.Domain{NICs: []domxml.NIC{{MAC: "a"}, {MAC: "b"}, {MAC: "b"}}}}
	for mac, want := range map[string]int{"a": 0, "b": -1, "c": -1} {
		if got := index(doc, mac); got != want {
			t.Errorf("%s: %d", mac, got)
		}
	}
}
