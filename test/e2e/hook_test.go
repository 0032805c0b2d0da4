package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// hooked is a host with libvirtd, br0 pinned at 9000, and our hook.
func hooked(t *testing.T) *lab.Host {
	t.Helper()
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	installHook(t, h)
	h.Libvirtd(t, "start")
	return h
}

const config = "/etc/virt-mtu/config.toml"

// configure writes the config file until the test ends.
func configure(t *testing.T, h *lab.Host, text string) {
	t.Helper()
	h.WriteFile(t, config, text, 0o644)
	t.Cleanup(func() { h.Run(t, "rm", "-rf", config) })
}

// A guest that misses 9000 at first, is fixed, and boots with it.
func TestIntegrationStory(t *testing.T) {
	t.Parallel()
	h := hooked(t)
	define(t, h, "web1", nic("virtio", 0))
	if got := h.Boot(t, "web1"); got != 1500 {
		t.Errorf("without <mtu> it boots at %d", got)
	}
	uuid := strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", "web1"))
	if !h.Exists("/run/virt-mtu/queue/" + uuid) {
		t.Error("not queued")
	}
	wantSays(t, "syslog", h.Syslog(t), `domain "web1": start: queued for virt-mtu fix: NIC 52:54:00:00:00:01 lacks <mtu size='9000'/>`)

	must(t, h, "fix", "--queued")
	if h.Exists("/run/virt-mtu/queue/" + uuid) {
		t.Error("still queued")
	}
	destroy(t, h, "web1")
	if got := h.Boot(t, "web1"); got != 9000 {
		t.Errorf("fixed, it boots at %d", got)
	}
	if !h.Ping(t, lab.GuestAddr, 9000) {
		t.Error("a packet of 9000 does not get through")
	}
	if h.Exists("/run/virt-mtu/queue/" + uuid) {
		t.Error("queued again, with nothing to fix")
	}
	destroy(t, h, "web1")
}

// An e1000 guest is told nothing: it boots at 1500, and once somebody sets it inside,
// all else is ready.
func TestIntegrationE1000(t *testing.T) {
	t.Parallel()
	h := hooked(t)
	h.Define(t, h.Domain(t, "e1", nic("e1000", 0), "setmtu=9000"))
	got := fixed(t, h, "e1")
	if got.Action != "inject" || got.Told != "manual" {
		t.Errorf("%+v", got)
	}
	if got := h.Boot(t, "e1"); got != 1500 {
		t.Errorf("it boots at %d", got)
	}
	if tap := h.MTU(t, "vnet0"); tap != 9000 {
		t.Errorf("tap at %d", tap)
	}
	if !pings(t, h, 9000) {
		t.Error("a packet of 9000 does not get through")
	}
	destroy(t, h, "e1")
}

// pings reports whether a packet of that size gets to the guest and back. An e1000
// takes some seconds to find its link.
func pings(t *testing.T, h *lab.Host, packet int) bool {
	t.Helper()
	for range 10 {
		if h.Ping(t, lab.GuestAddr, packet) {
			return true
		}
	}
	return false
}

func TestIntegrationHook(t *testing.T) {
	t.Parallel()
	h := hooked(t)

	refused := func(t *testing.T, domain string, words ...string) {
		t.Helper()
		r := h.Try(t, "virsh", "-q", "start", domain)
		if r.Exit == 0 {
			destroy(t, h, domain)
			t.Fatal("it was started")
		}
		wantSays(t, "virsh", r.Stderr, words...)
	}
	starts := func(t *testing.T, domain string) {
		t.Helper()
		start(t, h, domain)
		if s := state(t, h, domain); s != "running" {
			t.Errorf("state %q", s)
		}
		destroy(t, h, domain)
	}

	t.Run("refuses what cannot work", func(t *testing.T) {
		define(t, h, "old1", nic("rtl8139", 0))
		refused(t, "old1", "rtl8139 carries at most 1500, but bridge br0 has 9000", "hint: give the NIC <model type='virtio'/>", "prepare begin")
		wantSays(t, "syslog", h.Syslog(t), `domain "old1": prepare: refused`)
	})

	t.Run("refuses it on a network too", func(t *testing.T) {
		h.WriteFile(t, "/run/lab/net.xml", "<network><name>n1</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
		h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")
		h.Run(t, "virsh", "-q", "net-start", "n1")
		define(t, h, "old2", "<interface type='network'><mac address='52:54:00:00:00:02'/><source network='n1'/><model type='rtl8139'/></interface>")
		refused(t, "old2", "rtl8139 carries at most 1500")
	})

	t.Run("clamp, explicit and ignore let it start", func(t *testing.T) {
		define(t, h, "old3", nic("rtl8139", 0))
		for _, c := range []string{"incapable = 'clamp'", "incapable = 'explicit'", "[[rule]]\ndomain = 'old*'\nmtu = 'ignore'", "mtu = 1500"} {
			h.WriteFile(t, config, c, 0o644)
			starts(t, "old3")
		}
		h.Run(t, "rm", config)
		h.Run(t, "virsh", "-q", "metadata", "old3", "urn:virt-mtu:policy:1", "--config", "--key", "virt-mtu", "--set", "<domain mtu='ignore'/>")
		starts(t, "old3")
	})

	t.Run("a broken config stops nobody", func(t *testing.T) {
		define(t, h, "old4", nic("rtl8139", 0))
		configure(t, h, "mtu = [\n")
		starts(t, "old4")
		wantSays(t, "syslog", h.Syslog(t), `nothing done: read config "/etc/virt-mtu/config.toml": line 1`)
	})

	t.Run("state that cannot be kept stops nobody", func(t *testing.T) {
		define(t, h, "web4", nic("virtio", 0))
		h.Run(t, "rm", "-rf", "/run/virt-mtu")
		h.Run(t, "ln", "-s", "/tmp", "/run/virt-mtu")
		starts(t, "web4")
		wantSays(t, "syslog", h.Syslog(t), "is a link or a file where a folder has to be")
		r := virtMTU(t, h, "fix", "web4")
		if r.Exit != 1 {
			t.Errorf("fix: exit %d", r.Exit)
		}
		h.Run(t, "rm", "/run/virt-mtu")
	})

	t.Run("uninjected = refuse", func(t *testing.T) {
		define(t, h, "web5", nic("virtio", 0))
		configure(t, h, "uninjected = 'refuse'")
		refused(t, "web5", "lacks <mtu size='9000'/>", "virt-mtu fix web5")
		must(t, h, "fix", "--queued")
		starts(t, "web5")
	})

	t.Run("a number asked for outlives the queue", func(t *testing.T) {
		define(t, h, "num5", nic("virtio", 0))
		must(t, h, "fix", "--mtu", "4000", "num5")
		starts(t, "num5")
		must(t, h, "fix", "--queued")
		if !hasMTU(persistent(t, h, "num5"), "4000") {
			t.Error("not at 4000 any more")
		}
	})

	t.Run("a request waits for libvirt", func(t *testing.T) {
		define(t, h, "wait5", nic("virtio", 0))
		starts(t, "wait5")
		uuid := strings.TrimSpace(h.Run(t, "virsh", "-q", "domuuid", "wait5"))
		uri := between(t, h, procUpdateDeviceFlags, 1, func() bool { return false })
		if r := virtMTU(t, h, "fix", "--connect", uri, "--queued"); r.Exit != 1 {
			t.Errorf("exit %d: %s", r.Exit, r.Stdout)
		}
		h.Libvirtd(t, "stop")
		if r := virtMTU(t, h, "fix", "--queued"); r.Exit != 1 {
			t.Errorf("exit %d: %s", r.Exit, r.Stdout)
		}
		h.Libvirtd(t, "start")
		h.Run(t, "mount", "--bind", "-o", "ro", "/etc/libvirt/qemu", "/etc/libvirt/qemu")
		h.Run(t, "mount", "-o", "remount,ro,bind", "/etc/libvirt/qemu")
		if r := virtMTU(t, h, "fix", "--queued"); r.Exit != 1 {
			t.Errorf("exit %d: %s", r.Exit, r.Stdout)
		}
		h.Run(t, "umount", "/etc/libvirt/qemu")
		if queue := h.Run(t, "ls", "/run/virt-mtu/queue"); !strings.Contains(queue, uuid) {
			t.Fatalf("forgotten; the queue has %q", queue)
		}
		must(t, h, "fix", "--queued")
		if !hasMTU(persistent(t, h, "wait5"), "9000") {
			t.Error("not fixed")
		}
	})

	t.Run("libvirtd restarts under a guest that the policy would refuse", func(t *testing.T) {
		define(t, h, "old6", nic("rtl8139", 0))
		h.WriteFile(t, config, "incapable = 'clamp'", 0o644)
		start(t, h, "old6")
		h.Run(t, "rm", config)
		pid := h.ReadFile(t, "/run/libvirt/qemu/old6.pid")
		h.Hook(t, "qemu.d/60-after", recorder)
		h.Libvirtd(t, "restart")
		// libvirt reconnects in the background. What runs behind our hook tells when.
		for i := 0; i < 100 && !slices.Contains(ops(t, h), "60-after reconnect"); i++ {
			time.Sleep(100 * time.Millisecond)
		}
		h.Run(t, "rm", "/etc/libvirt/hooks/qemu.d/60-after")
		time.Sleep(500 * time.Millisecond) // to take a refusal to heart
		if s := state(t, h, "old6"); s != "running" {
			t.Errorf("state %q", s)
		}
		h.Run(t, "kill", "-0", strings.TrimSpace(pid))
		destroy(t, h, "old6")
	})

	t.Run("saved and restored as it was", func(t *testing.T) {
		define(t, h, "save7", nic("virtio", 0))
		start(t, h, "save7")
		h.Run(t, "virsh", "-q", "save", "save7", "/run/lab/save7.img")
		must(t, h, "fix", "save7")
		h.Run(t, "virsh", "-q", "restore", "/run/lab/save7.img")
		if hasMTU(live(t, h, "save7"), "9000") {
			t.Error("its device has no host_mtu, and its XML says so now")
		}
		destroy(t, h, "save7")
		start(t, h, "save7")
		h.Run(t, "virsh", "-q", "managedsave", "save7")
		start(t, h, "save7")
		if !hasMTU(live(t, h, "save7"), "9000") {
			t.Error("saved with <mtu>, restored without")
		}
		destroy(t, h, "save7")
	})

	t.Run("what comes from a saved state is refused nothing", func(t *testing.T) {
		define(t, h, "old8", nic("rtl8139", 0))
		h.WriteFile(t, config, "incapable = 'clamp'", 0o644)
		start(t, h, "old8")
		h.Run(t, "virsh", "-q", "managedsave", "old8")
		h.Run(t, "rm", config)
		start(t, h, "old8") // gives the guest back
		wantSays(t, "syslog", h.Syslog(t), "not refused, it comes from a migration or a saved state")
		destroy(t, h, "old8")
		refused(t, "old8", "rtl8139") // a cold start
	})

	t.Run("a small guest does not leave its bridge dragged", func(t *testing.T) {
		h.Bridge(t, "br1", 0)
		h.Uplink(t, "br1", "up1", 9000)
		define(t, h, "small1", strings.Replace(nic("virtio", 1500), "br0", "br1", 1))
		start(t, h, "small1")
		dev := strings.Fields(h.Run(t, "virsh", "-q", "domiflist", "small1"))[0]
		if br, tap := h.MTU(t, "br1"), h.MTU(t, dev); br != 9000 || tap != 9000 {
			t.Errorf("bridge %d, tap %d", br, tap)
		}
		destroy(t, h, "small1")
	})

	t.Run("pin_bridges", func(t *testing.T) {
		configure(t, h, "pin_bridges = true")
		h.Bridge(t, "br2", 0)
		h.Uplink(t, "br2", "up2", 9000)
		define(t, h, "pin1", strings.Replace(nic("virtio", 1500), "br0", "br2", 1))
		start(t, h, "pin1")
		h.Run(t, "ip", "tuntap", "add", "drag2", "mode", "tap")
		h.Run(t, "ip", "link", "set", "drag2", "master", "br2")
		if br := h.MTU(t, "br2"); br != 9000 {
			t.Errorf("bridge at %d: not pinned", br)
		}
		destroy(t, h, "pin1")
	})

	t.Run("a dragged bridge is not pinned there", func(t *testing.T) {
		configure(t, h, "pin_bridges = true")
		h.Bridge(t, "br3", 0)
		for dev, mtu := range map[string]string{"tall3": "9000", "low3": "1500"} {
			h.Run(t, "ip", "tuntap", "add", dev, "mode", "tap")
			h.Run(t, "ip", "link", "set", dev, "mtu", mtu, "master", "br3")
		}
		define(t, h, "pin3", strings.Replace(nic("virtio", 9000), "br0", "br3", 1))
		start(t, h, "pin3")
		h.Run(t, "ip", "link", "del", "low3")
		if br := h.MTU(t, "br3"); br != 9000 {
			t.Errorf("bridge at %d", br)
		}
		destroy(t, h, "pin3")
	})

	t.Run("a hostile target is not touched", func(t *testing.T) {
		// Names that libvirt itself lets through as far as the hook.
		h.Run(t, "ip", "link", "add", "phys0", "type", "veth", "peer", "name", "phys1")
		h.Run(t, "ip", "tuntap", "add", "elsewhere", "mode", "tap")
		for i, dev := range []string{"br0", "phys0", "elsewhere", "../../x"} {
			name := fmt.Sprintf("evil%d", i)
			xml := strings.Replace(nic("virtio", 0), "<model", "<target dev='"+dev+"'/><model", 1)
			live := strings.Replace(h.Domain(t, name, xml), "<name>", "<uuid>11111111-2222-3333-4444-55555555555"+fmt.Sprint(i)+"</uuid><name>", 1)
			h.WriteFile(t, "/run/lab/evil.xml", live, 0o644)
			before := h.Run(t, "ip", "-o", "link")
			r := h.Try(t, "bash", "-c", bin(t, "qemu-hook")+" evil start begin - </run/lab/evil.xml")
			if r.Exit != 0 {
				t.Errorf("%s: exit %d %s", dev, r.Exit, r.Stderr)
			}
			wantSame(t, dev, before, h.Run(t, "ip", "-o", "link"))
			wantSays(t, "syslog", h.Syslog(t), fmt.Sprintf("tap %q left as it is", dev))
			// And through libvirt, which may refuse it in its own way.
			h.WriteFile(t, "/run/lab/evil.xml", h.Domain(t, name, xml), 0o644)
			if h.Try(t, "virsh", "-q", "define", "/run/lab/evil.xml").Exit == 0 {
				if h.Try(t, "virsh", "-q", "start", name).Exit == 0 {
					destroy(t, h, name)
				}
			}
		}
		for dev, want := range map[string]int{"br0": 9000, "phys0": 1500} {
			if got := h.MTU(t, dev); got != want {
				t.Errorf("%s at %d", dev, got)
			}
		}
	})

	t.Run("hot-plug calls no hook, fix sees it", func(t *testing.T) {
		define(t, h, "plug1", nic("virtio", 9000))
		start(t, h, "plug1")
		h.WriteFile(t, "/run/lab/nic.xml", strings.Replace(nic("virtio", 0), "00:01", "00:07", 1), 0o644)
		h.Run(t, "virsh", "-q", "attach-device", "plug1", "/run/lab/nic.xml")
		h.Run(t, "ip", "link", "set", strings.Fields(strings.Split(h.Run(t, "virsh", "-q", "domiflist", "plug1"), "\n")[1])[0], "mtu", "1500")
		wantSays(t, "fix", must(t, h, "fix", "plug1"), "mtu 1500 -> 9000")
		destroy(t, h, "plug1")
	})
}
