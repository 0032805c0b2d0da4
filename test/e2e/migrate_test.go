package e2e

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// A guest that was told 9000, to hosts that carry it and hosts that do not, and back.
func TestIntegrationMigrate(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	define(t, p.a, "m1", nic("virtio", 9000))
	if got := p.a.Boot(t, "m1"); got != 9000 {
		t.Fatalf("it boots at %d", got)
	}
	if !reaches(t, p.a, addrA, 9000) {
		t.Fatal("9000 bytes do not get through at the source, before anything")
	}
	there := hostname(t, p.b)
	back := func(t *testing.T, flags ...string) {
		t.Helper()
		if said := p.moves(t, p.a, "m1", flags...); said != "" {
			t.Errorf("on the way back: %s", said)
		}
		if !reaches(t, p.a, addrA, 9000) {
			t.Error("back at the source 9000 bytes do not get through")
		}
		untouched(t, p.b, p.b.MTU(t, "br0"))
	}
	refused := func(t *testing.T, reason string, flags ...string) {
		t.Helper()
		bridge, before := p.b.MTU(t, "br0"), len(p.b.Syslog(t))
		r := p.migrate(t, p.b, "m1", flags...)
		if r.Exit == 0 {
			t.Fatalf("%q: it was let in", flags)
		}
		wantSays(t, "virsh at the source", r.Stderr,
			`virt-mtu: migration of domain "m1" refused: NIC 52:54:00:00:00:01: the guest has 9000, but `+reason+": its larger packets would vanish",
			"hint: ", `migration = "warn" in /etc/virt-mtu/config.toml there`)
		wantSays(t, "syslog there", p.b.Syslog(t)[before:], `domain "m1": migrate: refused: NIC 52:54:00:00:00:01`)
		if s := state(t, p.a, "m1"); s != "running" {
			t.Errorf("%q: at the source it is %q", flags, s)
		}
		if !reaches(t, p.a, addrA, 9000) {
			t.Errorf("%q: at the source 9000 bytes do not get through any more", flags)
		}
		if list := p.b.Run(t, "virsh", "-q", "list", "--all"); strings.Contains(list, "m1") {
			t.Errorf("%q: it is there: %s", flags, list)
		}
		untouched(t, p.b, bridge)
	}

	t.Run("refused where the wire carries less", func(t *testing.T) {
		p.lay(t, p.b, 1500, 1500)
		reason := "uplink trunk of bridge br0 has 1500 on " + there
		refused(t, reason)
		refused(t, reason, "--live", "--p2p")
		refused(t, reason, "--live", "--p2p", "--tunnelled")
		refused(t, reason, "--live", "--dname", "m1") // renamed on the way, to the same
		p.lay(t, p.b, 9000, 1500)
		refused(t, reason)
	})

	t.Run("refused where there is no wire and the bridge carries less", func(t *testing.T) {
		p.lay(t, p.b, 1500, 1500)
		p.b.Run(t, "ip", "link", "set", "trunk", "nomaster")
		refused(t, "bridge br0 has 1500 on "+there)
	})

	t.Run("let in where the config says warn, with a line", func(t *testing.T) {
		p.lay(t, p.b, 1500, 1500)
		configure(t, p.b, `migration = "warn"`)
		wantSays(t, "syslog there", p.moves(t, p.b, "m1"), "the guest has 9000, but uplink trunk of bridge br0 has 1500 on "+there+": its larger packets would vanish")
		if reaches(t, p.b, addrA, 9000) {
			t.Error("9000 bytes get through a wire of 1500: then there was nothing to refuse")
		}
		if !reaches(t, p.b, addrA, 1500) {
			t.Error("1500 bytes do not get through")
		}
		back(t)
	})

	t.Run("let in with a warning where the bridge alone carries less", func(t *testing.T) {
		p.lay(t, p.b, 1500, 9000)
		wantSays(t, "syslog there", p.moves(t, p.b, "m1"), "the guest has 9000 and bridge br0 only 1500 on "+there+": the wire carries it, the host's own address and smaller taps do not")
		if !reaches(t, p.b, addrA, 9000) {
			t.Error("9000 bytes do not get through the wire")
		}
		back(t)
	})

	t.Run("let in where everything carries it", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		for there, again := range map[string]string{"--live": "--live --p2p", "--live --p2p --tunnelled": "--live"} {
			flags := strings.Fields(there)
			before := migratable(t, p.a, "m1")
			if said := p.moves(t, p.b, "m1", flags...); said != "" {
				t.Errorf("%q: %s", flags, said)
			}
			wantSame(t, "the domain there", before, migratable(t, p.b, "m1"))
			if tap, bridge := p.b.MTU(t, tapOf(t, p.b, "m1")), p.b.MTU(t, "br0"); tap != 9000 || bridge != 9000 {
				t.Errorf("%q: tap at %d, bridge at %d", flags, tap, bridge)
			}
			for _, addr := range []string{addrA, addrB} {
				if !reaches(t, p.b, addr, 9000) {
					t.Errorf("%q: 9000 bytes do not get to %s", flags, addr)
				}
			}
			back(t, strings.Fields(again)...)
		}
	})

	t.Run("renamed on the way", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		if r := p.migrate(t, p.b, "m1", "--live", "--dname", "renamed"); r.Exit != 0 {
			t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
		}
		if r := p.migrate(t, p.a, "renamed", "--live", "--dname", "m1"); r.Exit != 0 {
			t.Fatalf("and back: exit %d\n%s", r.Exit, r.Stderr)
		}
		untouched(t, p.b, 9000)
		unmarked(t, p.a)
	})

	t.Run("a tunnel for an uplink", func(t *testing.T) {
		p.lay(t, p.b, 9000, 1500)
		p.b.Run(t, "ip", "link", "set", "trunk", "nomaster")
		p.b.Run(t, "ip", "addr", "add", "203.0.113.2/24", "dev", "trunk")
		vxlan := func(id, mtu string) {
			p.b.Run(t, "ip", "link", "add", "vx"+id, "type", "vxlan", "id", id, "local", "203.0.113.2", "remote", "203.0.113.1", "dstport", "4789")
			p.b.Run(t, "ip", "link", "set", "vx"+id, "mtu", mtu, "master", "br0", "up")
		}
		vxlan("7", "1450")
		refused(t, "uplink vx7 of bridge br0 has 1450 and may carry less (a tunnel may carry less than its MTU) on "+there)
		p.b.Run(t, "ip", "link", "del", "vx7")
		// The device says 9000 and its underlay carries 1500: the hook does not look that
		// far, and says so; check does.
		vxlan("8", "9000")
		wantSays(t, "syslog there", p.moves(t, p.b, "m1"), "uplink vx8 of bridge br0 has 9000 and may carry less (a tunnel may carry less than its MTU): not known whether it carries 9000")
		wantSays(t, "check there", virtMTU(t, p.b, "check", "m1").Stdout, "overlay-above-underlay")
		back(t)
		p.b.Run(t, "ip", "link", "del", "vx8")
		p.b.Run(t, "ip", "addr", "flush", "dev", "trunk")
	})

	t.Run("what cannot be known passes, and is said", func(t *testing.T) {
		// A bridge that is not there: libvirt itself says no, later.
		p.lay(t, p.b, 0, 9000)
		p.b.Run(t, "ip", "link", "set", "br0", "name", "br9")
		before := len(p.b.Syslog(t))
		r := p.migrate(t, p.b, "m1")
		if r.Exit == 0 || strings.Contains(r.Stderr, "virt-mtu") {
			t.Errorf("exit %d\n%s", r.Exit, r.Stderr)
		}
		wantSays(t, "syslog there", p.b.Syslog(t)[before:], `there is no bridge "br0" here: not known whether it carries 9000`)
		unmarked(t, p.b)
		p.b.Run(t, "ip", "link", "del", "br9")
	})

	t.Run("a broken config lets it in", func(t *testing.T) {
		p.lay(t, p.b, 1500, 1500)
		configure(t, p.b, "migration = 'no'")
		wantSays(t, "syslog there", p.moves(t, p.b, "m1"), "nothing done: ")
		back(t)
	})
}

// migratable is the XML that a migration of the domain hands over.
func migratable(t *testing.T, h *lab.Host, domain string) string {
	t.Helper()
	return h.Run(t, "virsh", "dumpxml", "--migratable", domain)
}

// tapOf is the tap of a running domain's first NIC.
func tapOf(t *testing.T, h *lab.Host, domain string) string {
	t.Helper()
	return strings.Fields(h.Run(t, "virsh", "-q", "domiflist", domain))[0]
}

// NICs of guests that are told nothing, less, or are on a libvirt network.
func TestIntegrationMigrateKinds(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("no mtu is no reason, and stays none", func(t *testing.T) {
		p.lay(t, p.b, 1500, 1500)
		define(t, p.a, "none1", nic("virtio", 0))
		start(t, p.a, "none1")
		before := migratable(t, p.a, "none1")
		if said := p.moves(t, p.b, "none1", "--live", "--persistent", "--undefinesource"); said != "" {
			t.Error(said)
		}
		wantSame(t, "the domain there", before, migratable(t, p.b, "none1"))
		if queue := p.b.Try(t, "ls", "/run/virt-mtu/queue").Stdout; queue != "" {
			t.Errorf("queued: %s", queue)
		}
		destroy(t, p.b, "none1")
	})

	t.Run("a hook that injects there breaks it", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		define(t, p.a, "none2", nic("virtio", 0))
		start(t, p.a, "none2")
		p.b.Hook(t, "qemu.d/90-inject", `#!/bin/bash
			[ "$2" = migrate ] || exit 0
			sed "s,<model type='virtio'/>,&<mtu size='9000'/>,"
		`)
		r := p.migrate(t, p.b, "none2")
		wantSays(t, "libvirt", r.Stderr, "Target network card MTU 9000 does not match source 0")
		p.b.Run(t, "rm", "/etc/libvirt/hooks/qemu.d/90-inject")
		if s := state(t, p.a, "none2"); s != "running" {
			t.Errorf("at the source it is %q", s)
		}
		p.moves(t, p.b, "none2") // ours alone does not
		destroy(t, p.b, "none2")
	})

	t.Run("its tap and bridge are set as at a start", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		define(t, p.a, "small3", nic("virtio", 1500))
		start(t, p.a, "small3")
		wantSays(t, "syslog there", p.moves(t, p.b, "small3"), "start: NIC 52:54:00:00:00:01: tap vnet", "mtu 1500 -> 9000: uplink trunk has 9000")
		if tap, bridge := p.b.MTU(t, tapOf(t, p.b, "small3")), p.b.MTU(t, "br0"); tap != 9000 || bridge != 9000 {
			t.Errorf("tap at %d, bridge at %d: dragged", tap, bridge)
		}
		destroy(t, p.b, "small3")
		p.a.Run(t, "virsh", "-q", "undefine", "small3")
	})

	t.Run("what prepare refuses comes in by migrate", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		configure(t, p.a, "incapable = 'clamp'")
		p.b.WriteFile(t, config, "uninjected = 'refuse'", 0o644)
		define(t, p.a, "old4", nic("rtl8139", 0)+strings.Replace(nic("virtio", 0), "00:01", "00:02", 1))
		start(t, p.a, "old4")
		wantSays(t, "syslog there", p.moves(t, p.b, "old4", "--live", "--persistent"),
			"prepare: NIC 52:54:00:00:00:01: model rtl8139 carries at most 1500, but bridge br0 has 9000; not refused, it comes from a migration or a saved state")
		unmarked(t, p.b)
		destroy(t, p.b, "old4")
		r := p.b.Try(t, "virsh", "-q", "start", "old4")
		wantSays(t, "its next cold start there", r.Stderr, "rtl8139 carries at most 1500")
		p.b.Run(t, "rm", config)
	})

	t.Run("a network leads to another bridge there", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000) // were br0 asked, it would pass
		network := func(h *lab.Host, bridge string) {
			h.WriteFile(t, "/run/lab/net.xml", "<network><name>n1</name><forward mode='bridge'/><bridge name='"+bridge+"'/></network>", 0o644)
			h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")
			h.Run(t, "virsh", "-q", "net-start", "n1")
		}
		network(p.a, "br0")
		p.b.Run(t, "ip", "link", "add", "br5", "type", "bridge")
		p.b.Run(t, "ip", "link", "set", "br5", "up")
		network(p.b, "br5")
		define(t, p.a, "net5", strings.NewReplacer("type='bridge'", "type='network'", "bridge='br0'", "network='n1'").Replace(nic("virtio", 9000)))
		start(t, p.a, "net5")
		r := p.migrate(t, p.b, "net5")
		if r.Exit == 0 {
			t.Fatal("it was let in")
		}
		wantSays(t, "virsh at the source", r.Stderr, "the guest has 9000, but bridge br5 has 1500 on "+hostname(t, p.b))
		p.b.Run(t, "ip", "link", "set", "br5", "mtu", "9000")
		if said := p.moves(t, p.b, "net5"); said != "" {
			t.Error(said)
		}
		destroy(t, p.b, "net5")
	})
}

// trimmed is XML without its indentation, which libvirt adds to metadata.
func trimmed(xml string) string {
	lines := strings.Split(xml, "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(lines, "\n")
}

// What comes with the guest into its definition there.
func TestIntegrationMigratePersistent(t *testing.T) {
	t.Parallel()
	p := newPair(t)

	t.Run("the record of what is ours comes along", func(t *testing.T) {
		define(t, p.a, "own1", nic("virtio", 0))
		fixed(t, p.a, "own1")
		start(t, p.a, "own1")
		before := trimmed(persistent(t, p.a, "own1"))
		p.moves(t, p.b, "own1", "--live", "--persistent", "--undefinesource")
		wantSays(t, "the record", before, "urn:virt-mtu:owned:1")
		wantSame(t, "the definition there", before, trimmed(persistent(t, p.b, "own1")))
		if p.a.Try(t, "virsh", "-q", "dominfo", "own1").Exit == 0 {
			t.Error("it is still at the source")
		}
		if got := fixed(t, p.b, "own1"); got.Action != "none" || got.Pending != "none" || got.Current != 9000 {
			t.Errorf("fix there: %+v", got)
		}
		if got := fixed(t, p.b, "--undo", "own1"); got.Action != "remove" || hasMTU(persistent(t, p.b, "own1"), "9000") {
			t.Errorf("fix --undo there: %+v", got)
		}
		destroy(t, p.b, "own1")
	})

	t.Run("offline", func(t *testing.T) {
		p.b.Hook(t, "qemu.d/60-after", recorder)
		defer p.b.Run(t, "rm", "/etc/libvirt/hooks/qemu.d/60-after")
		for name, xml := range map[string]string{"off2": nic("virtio", 0), "off3": nic("virtio", 9000)} {
			define(t, p.a, name, xml)
			before := persistent(t, p.a, name)
			ops(t, p.b)
			if r := p.migrate(t, p.b, name, "--offline", "--persistent", "--undefinesource"); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
			}
			if got := fmt.Sprint(ops(t, p.b)); got != "[60-after migrate]" {
				t.Errorf("hooks there: %s", got)
			}
			wantSame(t, "the definition there", before, persistent(t, p.b, name))
		}
		// No start follows an offline migration. The next is judged like any.
		start(t, p.b, "off2")
		wantSays(t, "syslog there", p.b.Syslog(t), `domain "off2": start: queued for virt-mtu fix`)
		destroy(t, p.b, "off2")
		configure(t, p.a, "incapable = 'clamp'")
		define(t, p.a, "off5", nic("rtl8139", 0))
		if r := p.migrate(t, p.b, "off5", "--offline", "--persistent"); r.Exit != 0 {
			t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
		}
		refusedStart(t, p.b, "off5")
		p.lay(t, p.b, 1500, 1500)
		define(t, p.a, "off4", nic("virtio", 9000))
		wantSays(t, "virsh", p.migrate(t, p.b, "off4", "--offline", "--persistent").Stderr, "its larger packets would vanish")
	})
}

// A migration that does not come to its end leaves nothing: the guest goes on at the
// source, and what starts at the destination later is judged like any start.
func TestIntegrationMigrationCut(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	define(t, p.a, "cut1", nic("virtio", 0))
	p.a.Boot(t, "cut1")
	definition := persistent(t, p.a, "cut1")

	for name, tt := range map[string]struct {
		flags     []string
		cut, mend func(t *testing.T)
	}{
		"its QEMU there is killed": {
			flags: []string{"--live"},
			cut:   func(t *testing.T) { p.b.Run(t, "bash", "-c", "kill -9 $(cat /run/libvirt/qemu/cut1.pid)") },
		},
		"the network is cut": {
			flags: []string{"--live", "--p2p"},
			cut:   func(t *testing.T) { p.a.Run(t, "ip", "link", "set", "mig", "down") },
			mend:  func(t *testing.T) { p.a.Run(t, "ip", "link", "set", "mig", "up") },
		},
		"libvirtd there is killed": {
			flags: []string{"--live", "--p2p"},
			cut:   func(t *testing.T) { p.b.Run(t, "bash", "-c", "kill -9 $(cat /run/libvirtd.pid)") },
			mend:  func(t *testing.T) { p.b.Run(t, "rm", "-f", "/run/libvirtd.pid"); p.b.Libvirtd(t, "start", "--listen") },
		},
		"it is called off": {
			flags: []string{"--live"},
			cut:   func(t *testing.T) { p.a.Run(t, "virsh", "-q", "domjobabort", "cut1") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			p.lay(t, p.b, 0, 9000)
			p.a.Run(t, "virsh", "-q", "migrate-setspeed", "cut1", "1") // MiB/s: it takes a while
			cmd := p.a.Command(p.migration(p.b, "cut1", tt.flags...)...)
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			underway(t, p, cmd, ended)
			tt.cut(t)
			select {
			case err := <-ended:
				if err == nil {
					t.Fatal("it succeeded: it was not cut")
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("virsh does not return")
			}
			if tt.mend != nil {
				tt.mend(t)
			}
			eventually(t, "it is gone there", func() bool {
				return !strings.Contains(p.b.Run(t, "virsh", "-q", "list", "--all"), "cut1") &&
					p.b.Try(t, "bash", "-c", "ls -d /sys/class/net/vnet*").Exit != 0
			})
			eventually(t, "it runs at the source", func() bool { return state(t, p.a, "cut1") == "running" })
			if !reaches(t, p.a, addrA, 1500) {
				t.Error("at the source it does not answer")
			}
			untouched(t, p.b, 9000)

			// The same domain, started there by itself, is queued; with a NIC that cannot
			// work it is refused.
			p.b.Define(t, definition)
			start(t, p.b, "cut1")
			uuid := strings.TrimSpace(p.b.Run(t, "virsh", "-q", "domuuid", "cut1"))
			if !p.b.Exists("/run/virt-mtu/queue/" + uuid) {
				t.Error("its start there is not queued")
			}
			p.b.Run(t, "rm", "-f", "/run/virt-mtu/queue/"+uuid)
			destroy(t, p.b, "cut1")
			p.b.Define(t, strings.Replace(definition, "<model type='virtio'/>", "<model type='rtl8139'/>", 1))
			wantSays(t, "virsh there", p.b.Try(t, "virsh", "-q", "start", "cut1").Stderr, "rtl8139 carries at most 1500")
			p.b.Run(t, "virsh", "-q", "undefine", "cut1")
		})
	}

	t.Run("and a migration that is not cut still works", func(t *testing.T) {
		p.lay(t, p.b, 0, 9000)
		p.a.Run(t, "virsh", "-q", "migrate-setspeed", "cut1", "1000")
		p.moves(t, p.b, "cut1")
	})
}

// underway waits until QEMU there takes in the guest.
func underway(t *testing.T, p *pair, cmd *exec.Cmd, ended <-chan error) {
	t.Helper()
	for range 600 {
		select {
		case err := <-ended:
			t.Fatalf("it ended before it was cut: %v", err)
		default:
		}
		if strings.Contains(p.a.Try(t, "virsh", "domjobinfo", "cut1").Stdout, "Data remaining") && p.b.Exists("/run/libvirt/qemu/cut1.pid") {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Fatal("it does not get under way")
}

// eventually waits a minute until something holds.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for range 300 {
		if holds() {
			return
		}
		time.Sleep(200 * time.Millisecond)
	}
	t.Errorf("not so: %s", what)
}
