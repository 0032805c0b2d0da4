package main

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/rewrite"
	"virt-mtu/test/netns"
)

// At prepare the domain is printed as its definition should be: the same bytes
// that the rewrite command makes of it.
func TestIntegrationPreparePrints(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		const model = "<model type='virtio'/>\n"
		with := func(xml string) string {
			return strings.Replace(xml, model, model+"      "+mtu9000+"\n", 1)
		}
		for name, tt := range map[string]struct{ xml, want string }{
			"one is missing":    {domain(nic{}), with(domain(nic{}))},
			"the first of two":  {domain(nic{}, nic{mac: "52:54:00:00:00:02", kind: "user"}), with(domain(nic{}, nic{mac: "52:54:00:00:00:02", kind: "user"}))},
			"an empty one":      {domain(nic{mtu: "<mtu size=''/>"}), domain(nic{mtu: mtu9000})},
			"a zero":            {domain(nic{mtu: "<mtu size='0'/>"}), domain(nic{mtu: mtu9000})},
			"there already":     {domain(nic{mtu: mtu9000}), domain(nic{mtu: mtu9000})},
			"an admin's own":    {domain(nic{mtu: mtu1500}), domain(nic{mtu: mtu1500})},
			"more than a tap's": {domain(nic{mtu: "<mtu size='65535'/>"}), domain(nic{mtu: "<mtu size='65535'/>"})},
			"ignored":           {described(ignored, nic{}), described(ignored, nic{})},
			"no NIC":            {domain(), domain()},
			"odd but XML":       {"\ufeff<?xml version='1.0'?>\r\n<!-- ä -->" + domain(nic{}) + "<!-- & -->\n", "\ufeff<?xml version='1.0'?>\r\n<!-- ä -->" + with(domain(nic{})) + "<!-- & -->\n"},
		} {
			t.Run(name, func(t *testing.T) {
				r := h.run(t, tt.xml, "web1", "prepare", "begin", "-")
				if r.status != 0 || r.stderr != "" {
					t.Errorf("exit %d, stderr %q", r.status, r.stderr)
				}
				if diff := cmp.Diff(tt.want, r.stdout); diff != "" {
					t.Errorf("-want +got:\n%s", diff)
				}
				filtered, _, err := rewrite.XML([]byte(tt.xml), rewrite.Options{Bridges: map[string]int{"br0": 9000}})
				must(t, err)
				if diff := cmp.Diff(string(filtered), r.stdout); diff != "" {
					t.Errorf("-rewrite +hook:\n%s", diff)
				}
			})
		}
	})
}

// A model that cannot carry what its segment does is refused before there is a
// tap, with the reason and a way out. What the config makes of it, and where
// nothing is known of the segment, it is not.
func TestIntegrationRefusal(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		const realtek = "rtl8139"
		const virtio = "<model type='virtio'/>"
		for name, tt := range map[string]struct {
			config, metadata string
			nic              nic
			links            string
			reason, hint     string // empty: not refused
		}{
			"inherited":                {reason: "model rtl8139 carries at most 1500, but bridge br0 has 9000", hint: virtio},
			"asked for by an admin":    {nic: nic{mtu: mtu9000}, reason: "the definition says 9000", hint: virtio},
			"asked for by a rule":      {config: "incapable='explicit'\n[[rule]]\ndomain='w*'\nmtu=4000", reason: "rule 1 of the config says 4000", hint: "virsh edit web1"},
			"asked for in metadata":    {config: "incapable='explicit'", metadata: strings.Replace(ignored, "ignore", "2000", 1), reason: "metadata says 2000", hint: virtio},
			"explicit, but inherited":  {config: "incapable='explicit'"},
			"clamped":                  {config: "incapable='clamp'", nic: nic{mtu: mtu9000}},
			"an admin's 1500":          {nic: nic{mtu: mtu1500}},
			"config says 1500":         {config: "mtu = 1500"},
			"ignored by metadata":      {metadata: ignored},
			"ignored by a rule":        {config: "[[rule]]\nmodel='rtl*'\nmtu='ignore'"},
			"ignored by the config":    {config: "mtu = 'ignore'"},
			"another model's rule":     {config: "[[rule]]\nmodel='pcnet'\nmtu='ignore'", reason: "bridge br0 has 9000"},
			"a bridge of 1500":         {links: "link add br0 type bridge"},
			"one uplink of two":        {links: jumbo + "\nlink add up1 type veth peer name wire1\nlink set up1 master br0"},
			"behind a tunnel":          {links: "link add br0 type bridge\nlink set br0 mtu 8999\nlink set br0 mtu 9000\nlink add vx0 mtu 9000 type vxlan id 1 dstport 4789 local 127.0.0.1\nlink set vx0 master br0"},
			"on Open vSwitch":          {nic: nic{port: "openvswitch"}},
			"no such bridge":           {nic: nic{source: "bridge='br9'"}},
			"not a bridge":             {nic: nic{source: "bridge='up0'"}},
			"a type that takes no mtu": {nic: nic{kind: "direct", source: "dev='up0'"}},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				if tt.links == "" {
					tt.links = jumbo
				}
				netns.IP(t, tt.links)
				config(t, tt.config)
				tt.nic.model = realtek
				xml := described(tt.metadata, tt.nic)
				r := h.run(t, xml, "web1", "prepare", "begin", "-")
				if tt.reason != "" {
					r.wantRefusal(t, tt.reason, tt.hint)
					return
				}
				if r.status != 0 || r.stdout != xml || r.stderr != "" || len(r.log) > 0 {
					t.Errorf("exit %d, stderr %q, log %q, stdout:\n%s", r.status, r.stderr, r.log, r.stdout)
				}
			})
		}
	})
}

// Before the start a type='network' NIC names no bridge. libvirt cannot be asked
// from within a hook: what it keeps in files says which it is.
func TestIntegrationNetworkByFile(t *testing.T) {
	const live, defined = "/run/libvirt/network", "/etc/libvirt/qemu/networks"
	network := func(bridge, more string) string {
		return "<network><name>storage</name><forward mode='bridge'/><bridge name='" + bridge + "'/>" + more + "</network>"
	}
	status := func(network string) string {
		return "<networkstatus><class_id bitmap='0-2'/><floor sum='0'/>" + network + "</networkstatus>"
	}
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			live, defined string
			reason        string // empty: not refused
			says          string // in the log
		}{
			"live":                   {live: status(network("br0", "")), reason: "bridge br0 has 9000"},
			"defined":                {defined: network("br0", ""), reason: "bridge br0 has 9000"},
			"live before defined":    {live: status(network("br1", "")), defined: network("br0", "")},
			"its own mtu":            {live: status(network("br1", mtu9000)), reason: "network storage has 9000"},
			"its own mtu, less":      {live: status(network("br0", mtu1500))},
			"Open vSwitch":           {live: status(network("br0", "<virtualport type='openvswitch'/>"))},
			"no file":                {},
			"no XML":                 {live: "gone", says: `read network "storage"`},
			"another network's file": {live: status(strings.Replace(network("br0", ""), "storage", "other", 1)), says: `it is called "other"`},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo+"\nlink add br1 type bridge")
				for dir, text := range map[string]string{live: tt.live, defined: tt.defined} {
					if text != "" {
						must(t, os.MkdirAll(dir, 0o755))
						write(t, dir+"/storage.xml", text)
					}
				}
				xml := domain(nic{kind: "network", source: "network='storage'", model: "rtl8139"})
				r := h.run(t, xml, "web1", "prepare", "begin", "-")
				if tt.reason != "" {
					r.wantRefusal(t, tt.reason, "virtio")
					return
				}
				if r.status != 0 || r.stdout != xml || r.stderr != "" {
					t.Errorf("exit %d, stderr %q, stdout:\n%s", r.status, r.stderr, r.stdout)
				}
				if tt.says != "" {
					r.wantLog(t, tt.says)
				} else if len(r.log) > 0 {
					t.Errorf("log %q", r.log)
				}
			})
		}
	})
}

// A pin cannot be seen: whether there is one shows when a port of 1500 joins.
func TestIntegrationPinBridges(t *testing.T) {
	const small = "\ntuntap add vnet9 mode tap\nlink set vnet9 master br0"
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			config, xml, links string
			after              string // done after the hook
			want               int    // the bridge's MTU then
			says               string
		}{
			"pinned":           {config: "pin_bridges = true", xml: domain(nic{}), links: auto, after: small, want: 9000},
			"not asked for":    {config: "", xml: domain(nic{}), links: auto, after: small, want: 1500},
			"ignored":          {config: "pin_bridges = true", xml: described(ignored, nic{}), links: auto, after: small, want: 1500},
			"refused":          {config: "pin_bridges = true", xml: cannot, links: auto, after: small, want: 1500},
			"another's bridge": {config: "pin_bridges = true", xml: domain(nic{source: "bridge='br1'"}), links: auto + "\nlink add br1 type bridge", after: small, want: 1500},
			// Pinned at 1500 it would stay there when the small port goes.
			"dragged down": {config: "pin_bridges = true", xml: domain(nic{}), links: auto + small, after: "link del vnet9", want: 9000, says: "bridge br0 not pinned: a port may be holding it down at 1500"},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, tt.links)
				config(t, tt.config)
				r := h.run(t, tt.xml, "web1", "prepare", "begin", "-")
				if tt.says != "" {
					r.wantLog(t, tt.says)
				}
				netns.IP(t, tt.after)
				wantMTU(t, "br0", tt.want)
			})
		}
	})
}
