package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"
	"virt-mtu/test/netns"
)

// A guest that was told 9000 elsewhere must not arrive where its packets vanish.
// Nothing is ever printed: libvirt would take it for the guest's new XML.
func TestIntegrationMigrate(t *testing.T) {
	const bridge = "link add br0 type bridge\nlink add up0 type veth peer name wire0\nlink set up0 master br0\n"
	const pinned = "\nlink set br0 mtu 1501\nlink set br0 mtu 1500"
	on, err := os.Hostname()
	must(t, err)
	onHost(t, func(t *testing.T, h *host) {
		for name, tt := range map[string]struct {
			config, links, metadata string
			nic                     nic
			refused                 string // the reason; empty: it may come
			says                    string // in the log; empty: nothing
		}{
			"all carry it":             {links: jumbo, nic: nic{mtu: mtu9000}},
			"the uplink does not":      {links: bridge, nic: nic{mtu: mtu9000}, refused: "uplink up0 of bridge br0 has 1500 on " + on},
			"one of two does not":      {links: jumbo + "\nlink add up1 mtu 4000 type veth peer name wire1\nlink set up1 master br0", nic: nic{mtu: mtu9000}, refused: "uplink up1 of bridge br0 has 4000 on " + on},
			"no uplink, nor bridge":    {links: "link add br0 type bridge", nic: nic{mtu: mtu9000}, refused: "bridge br0 has 1500 on " + on},
			"the bridge alone not":     {links: bridge + "link set up0 mtu 9000" + pinned, nic: nic{mtu: mtu9000}, says: "bridge br0 only 1500 on " + on},
			"warned":                   {config: "migration='warn'", links: bridge, nic: nic{mtu: mtu9000}, says: "its larger packets would vanish"},
			"it was told nothing":      {links: bridge, nic: nic{}},
			"it would get more":        {links: jumbo, nic: nic{}},
			"it cannot, told nothing":  {links: jumbo, nic: nic{model: "rtl8139"}},
			"ignored":                  {links: bridge, nic: nic{mtu: mtu9000}, metadata: ignored},
			"ignored by a rule":        {config: "[[rule]]\ndomain='web?'\nmtu='ignore'", links: bridge, nic: nic{mtu: mtu9000}},
			"not known: Open vSwitch":  {links: bridge, nic: nic{mtu: mtu9000, port: "openvswitch"}, says: "not known whether it carries 9000"},
			"not known: no bridge":     {links: "", nic: nic{mtu: mtu9000}, says: "not known whether it carries 9000"},
			"uninjected has no say":    {config: "uninjected='refuse'", links: jumbo, nic: nic{}},
			"a type without a bridge":  {links: bridge, nic: nic{kind: "ethernet", mtu: mtu9000}},
			"a tunnel's mtu is enough": {links: "link add br0 type bridge\nlink add vx0 mtu 9000 type vxlan id 1 dstport 4789 local 127.0.0.1\nlink set vx0 master br0", nic: nic{mtu: mtu9000}, says: "a tunnel may carry less"},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, tt.links)
				config(t, tt.config)
				r := h.run(t, described(tt.metadata, tt.nic), "web1", "migrate", "begin", "-")
				if tt.refused != "" {
					r.wantRefusal(t, tt.refused, `migration = "warn" in `+policy.DefaultPath)
				} else {
					r.wantQuiet(t)
				}
				switch {
				case tt.says != "":
					r.wantLog(t, tt.says)
				case tt.refused == "" && len(r.log) > 0:
					t.Errorf("log %q", r.log)
				}
				if marked(t) != (tt.refused == "") {
					t.Errorf("refused %q, marked %v", tt.refused, marked(t))
				}
				if queued(t) != "" {
					t.Error("queued")
				}
			})
		}
	})
}

// A restore comes from this host: it is let in whatever it has, under every config,
// with its <mtu> as it is.
func TestIntegrationRestore(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		for _, conf := range []string{"", "mtu = 9000", "uninjected = 'refuse'", "pin_bridges = true", "nonsense"} {
			for _, xml := range []string{fine, cannot, domain(nic{mtu: "<mtu size='20000'/>"})} {
				must(t, os.RemoveAll(state.DefaultBase))
				config(t, conf)
				r := h.run(t, xml, "web1", "restore", "begin", "-")
				r.wantQuiet(t)
				if !marked(t) || len(r.log) > 0 {
					t.Errorf("%q: marked %v, log %q", conf, marked(t), r.log)
				}
			}
		}
	})
}

// The calls of a whole migration or restore, to the host that it comes to: nothing
// is refused between the first and started, which ends it. The next cold start is
// judged again.
func TestIntegrationArrival(t *testing.T) {
	const refuseAll = "uninjected = 'refuse'\nmigration = 'warn'"
	onHost(t, func(t *testing.T, h *host) {
		for _, first := range []string{"migrate", "restore"} {
			for _, last := range []string{"started begin", "stopped end", "release end"} {
				t.Run(first+", "+last, func(t *testing.T) {
					h.reset(t)
					netns.IP(t, jumbo)
					config(t, refuseAll)
					call := func(op, subop string) result { return h.run(t, cannot, "web1", op, subop, "-") }
					call(first, "begin").wantQuiet(t)
					if r := call("prepare", "begin"); r.status != 0 || r.stdout != cannot {
						t.Errorf("prepare: exit %d, stderr %q, stdout %q", r.status, r.stderr, r.stdout)
					} else {
						r.wantLog(t, "not refused, it comes from a migration or a saved state")
					}
					call("start", "begin").wantQuiet(t)
					wantMTU(t, "vnet0", 9000)
					op, subop, _ := strings.Cut(last, " ")
					call(op, subop).wantQuiet(t)
					if marked(t) || queued(t) != "" {
						t.Errorf("marked %v, queued %q", marked(t), queued(t))
					}
					call("prepare", "begin").wantRefusal(t, "rtl8139", "virtio")
				})
			}
		}
	})
}

// A mark that nothing cleared counts for ten minutes.
func TestIntegrationMarkAge(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		for _, tt := range []struct {
			age  time.Duration
			want int // exit status
		}{{0, 0}, {9 * time.Minute, 0}, {11 * time.Minute, 1}, {-11 * time.Minute, 1}} {
			h.reset(t)
			netns.IP(t, jumbo)
			h.mark(t, cannot, tt.age)
			if r := h.run(t, cannot, "web1", "prepare", "begin", "-"); r.status != tt.want {
				t.Errorf("marked %v ago: exit %d, want %d", tt.age, r.status, tt.want)
			}
			if stale := tt.want == 1; marked(t) == stale {
				t.Errorf("marked %v ago: there afterwards: %v", tt.age, marked(t))
			}
		}
	})
}

// One guest's mark is nothing to another domain, whatever of the guest's it has, nor to
// the same domain with another NIC.
func TestIntegrationMarkIsOneGuests(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		h.mark(t, cannot, 0)
		other := strings.Replace(cannot, uuid, strings.Replace(uuid, "6f", "7f", 1), 1)
		h.run(t, other, "web1", "prepare", "begin", "-").wantRefusal(t, "rtl8139", "virtio")
		h.run(t, other, "web1", "stopped", "end", "-").wantQuiet(t)
		if !marked(t) {
			t.Error("another's end took it away")
		}
		for what, xml := range map[string]string{
			"name":    strings.Replace(cannot, "<name>web1", "<name>web2", 1),
			"mac":     strings.Replace(cannot, "00:01", "00:02", 1),
			"model":   strings.Replace(cannot, "rtl8139", "pcnet", 1),
			"mtu":     strings.Replace(cannot, "    </interface>", "      <mtu size='8000'/>\n    </interface>", 1),
			"one NIC": domain(nic{target: "vnet0", model: "rtl8139"}, nic{target: "vnet0", model: "rtl8139", mac: "52:54:00:00:00:02"}),
		} {
			if r := h.run(t, xml, "web1", "prepare", "begin", "-"); r.status != 1 {
				t.Errorf("another %s, and it is let in", what)
			}
		}
		h.run(t, cannot, "web1", "prepare", "begin", "-").wantLog(t, "not refused, it comes from a migration")
	})
}

// No start follows an offline migration. libvirt writes the definition when it is done,
// and the start that somebody asks for then is judged as any.
func TestIntegrationOfflineMigration(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		define := func(name string, ago time.Duration) {
			t.Helper()
			file := "/etc/libvirt/qemu/" + name + ".xml"
			must(t, os.MkdirAll(filepath.Dir(file), 0o700))
			write(t, file, "")
			when := time.Now().Add(-ago)
			must(t, os.Chtimes(file, when, when))
		}
		prepare := func(status int) {
			t.Helper()
			if r := h.run(t, cannot, "web1", "prepare", "begin", "-"); r.status != status {
				t.Errorf("exit %d, want %d", r.status, status)
			}
		}
		h.run(t, cannot, "web1", "migrate", "begin", "-").wantQuiet(t)
		prepare(0)
		define("web2", 0)
		define("web1", time.Hour) // was there before
		prepare(0)
		define("web1", -time.Hour) // by a clock that was set
		prepare(0)
		define("web1", 0)
		prepare(1)
	})
}
