package main

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/netns"
)

// The tap gets the largest of its bridge's MTU, the guest's and the smallest
// uplink's, and is never lowered.
func TestIntegrationTaps(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			links, config, metadata string
			nic                     nic
			tap, bridge             int // afterwards
		}{
			"to the bridge's":        {links: jumbo, tap: 9000, bridge: 9000},
			"to the guest's":         {links: jumbo, nic: nic{mtu: "<mtu size='9500'/>"}, tap: 9500, bridge: 9000},
			"the bridge is dragged":  {links: auto + dragging, nic: nic{mtu: mtu1500}, tap: 9000, bridge: 9000},
			"one of two uplinks":     {links: auto + "\nlink add up1 mtu 4000 type veth peer name wire1\nlink set up1 master br0" + dragging, tap: 4000, bridge: 4000},
			"no uplink":              {links: "link add br0 type bridge\ntuntap add vnet0 mode tap\nlink set vnet0 master br0\nlink set vnet0 mtu 1400\nlink set br0 mtu 2000", tap: 2000, bridge: 2000},
			"never lowered":          {links: jumbo + "\nlink set vnet0 mtu 9100", nic: nic{mtu: mtu1500}, tap: 9100, bridge: 9000},
			"no more than it takes":  {links: jumbo, nic: nic{mtu: "<mtu size='65535'/>"}, tap: 65521, bridge: 9000},
			"of any model":           {links: jumbo, nic: nic{model: "e1000"}, tap: 9000, bridge: 9000},
			"of no known model":      {links: jumbo, nic: nic{model: "new"}, tap: 9000, bridge: 9000},
			"clamped":                {links: jumbo, nic: nic{model: "rtl8139"}, config: "incapable='clamp'", tap: 9000, bridge: 9000},
			"of a resolved network":  {links: jumbo, nic: nic{kind: "network", source: "network='lan' bridge='br0'"}, tap: 9000, bridge: 9000},
			"ignored by metadata":    {links: jumbo, metadata: ignored, tap: 1500, bridge: 9000},
			"ignored by a rule":      {links: jumbo, config: "[[rule]]\nbridge='br0'\nmtu='ignore'", tap: 1500, bridge: 9000},
			"ignored by the config":  {links: jumbo, config: "mtu='ignore'", tap: 1500, bridge: 9000},
			"Open vSwitch":           {links: jumbo, nic: nic{port: "openvswitch"}, tap: 1500, bridge: 9000},
			"ethernet has no bridge": {links: jumbo, nic: nic{kind: "ethernet"}, tap: 1500, bridge: 9000},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, tt.links)
				config(t, tt.config)
				tt.nic.target = "vnet0"
				r := h.run(t, described(tt.metadata, tt.nic), "web1", "start", "begin", "-")
				r.wantQuiet(t)
				wantMTU(t, "vnet0", tt.tap)
				wantMTU(t, "br0", tt.bridge)
			})
		}
	})
}

// Several NICs in one domain are each their own case.
func TestIntegrationSeveralNICs(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo+`
			tuntap add vnet1 mode tap
			link add br1 type bridge
			link set vnet1 master br1
			tuntap add vnet2 mode tap
			link set vnet2 master br0`)
		r := h.run(t, domain(
			nic{target: "vnet0", mtu: mtu9000},
			nic{target: "vnet1", mac: "52:54:00:00:00:02", source: "bridge='br1'"},
			nic{target: "vnet2", mac: "52:54:00:00:00:03"},
			nic{target: "vnet3", mac: "52:54:00:00:00:04"},
		), "web1", "start", "begin", "-")
		r.wantQuiet(t)
		want := map[string]int{"br0": 9000, "br1": 1500, "up0": 9000, "wire0": 1500, "vnet0": 9000, "vnet1": 1500, "vnet2": 9000}
		got := mtus(t)
		delete(got, "lo")
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("-want +got:\n%s", diff)
		}
		note := queued(t)
		for mac, missing := range map[string]bool{":01": false, ":02": false, ":03": true, ":04": true} {
			if strings.Contains(note, "52:54:00:00:00"+mac+" lacks <mtu size='9000'/>") != missing {
				t.Errorf("NIC %s: missing: %v, but queued is %q", mac, missing, note)
			}
		}
	})
}

// A definition that lacks its <mtu> is queued for fix: this start is too late for
// it. Where who knows more might find one missing it is queued too.
func TestIntegrationQueue(t *testing.T) {
	const refuse = "uninjected = 'refuse'\n"
	const lacks = "NIC 52:54:00:00:00:01 lacks <mtu size='9000'/>: bridge br0 has 9000"
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			config, metadata, links string
			nic                     nic
			incoming                bool
			queued                  string // what the note says; empty: not queued
			refused                 bool
		}{
			"lacks it":                {queued: lacks},
			"has it":                  {nic: nic{mtu: mtu9000}},
			"an admin's own":          {nic: nic{mtu: mtu1500}},
			"ignored":                 {metadata: ignored},
			"incoming":                {incoming: true},
			"a rule's":                {config: "[[rule]]\nbridge='br*'\nmtu=2000", queued: "lacks <mtu size='2000'/>: rule 1 of the config says 2000"},
			"dragged down by its tap": {links: auto + dragging, queued: lacks}, // and let go by it
			"not known from here":     {nic: nic{port: "openvswitch"}, queued: "Open vSwitch"},
			"refuse, lacks it":        {config: refuse, queued: lacks, refused: true},
			"refuse, has it":          {config: refuse, nic: nic{mtu: mtu9000}},
			"refuse, incoming":        {config: refuse, incoming: true},
			"refuse, ignored":         {config: refuse, metadata: ignored},
			"refuse, not known":       {config: refuse, nic: nic{port: "openvswitch"}, queued: "Open vSwitch"},
			"refuse, cannot, clamp":   {config: refuse + "incapable='clamp'", nic: nic{model: "rtl8139"}},
			"refuse, not told by it":  {config: refuse, nic: nic{model: "e1000"}, queued: lacks, refused: true},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				if tt.links == "" {
					tt.links = jumbo
				}
				netns.IP(t, tt.links)
				config(t, tt.config)
				tt.nic.target = "vnet0"
				xml := described(tt.metadata, tt.nic)
				if tt.incoming {
					h.mark(t, xml, 0)
				}
				r := h.run(t, xml, "web1", "start", "begin", "-")
				if got := queued(t); (got == "") != (tt.queued == "") || !strings.Contains(got, tt.queued) {
					t.Errorf("queued: %q, wanted %q", got, tt.queued)
				}
				if tt.refused {
					r.wantRefusal(t, tt.queued, "virt-mtu fix web1, and start it again")
				} else {
					r.wantQuiet(t)
				}
			})
		}
	})
}

// What is wrong although nothing is refused is said once, at start.
func TestIntegrationWarnings(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			config, links string
			nic           nic
			says          string
		}{
			"clamped":           {config: "incapable='clamp'", nic: nic{model: "rtl8139", target: "vnet0"}, says: "model rtl8139 carries at most 1500"},
			"above its segment": {nic: nic{mtu: mtu9000}, links: "link add br0 type bridge", says: "the definition says 9000, more than the segment carries (bridge br0 has 1500)"},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				if tt.links == "" {
					tt.links = jumbo + "\nlink set vnet0 mtu 9000"
				}
				netns.IP(t, tt.links)
				config(t, tt.config)
				r := h.run(t, domain(tt.nic), "web1", "start", "begin", "-")
				r.wantQuiet(t)
				r.wantLog(t, `domain "web1": start: `, tt.says)
			})
		}
	})
}
