package e2e

import (
	"strings"
	"testing"

	"virt-mtu/test/lab"
)

// A saved guest is given back, whatever a start would say to it.
func TestIntegrationRestore(t *testing.T) {
	t.Parallel()
	h := hooked(t)
	given := func(t *testing.T, domain string, command ...string) {
		t.Helper()
		h.Run(t, append([]string{"virsh", "-q"}, command...)...)
		if s := state(t, h, domain); s != "running" {
			t.Errorf("%q: %s is %q", command, domain, s)
		}
		unmarked(t, h)
	}

	t.Run("managed save across fix", func(t *testing.T) {
		define(t, h, "save1", nic("virtio", 0))
		if got := h.Boot(t, "save1"); got != 1500 {
			t.Fatalf("it boots at %d", got)
		}
		h.Run(t, "virsh", "-q", "managedsave", "save1")
		wantSays(t, "fix", must(t, h, "fix", "save1"),
			"waits for a cold start: the managed save image has no <mtu>, and virsh start takes the image",
			"shut the guest down after that", "virsh managedsave-remove save1")
		given(t, "save1", "start", "save1")
		if hasMTU(live(t, h, "save1"), "9000") || !reaches(t, h, lab.Addr, 1500) {
			t.Error("it is not what was saved, or does not answer")
		}
		wantSays(t, "fix", must(t, h, "fix", "save1"), "waits for a cold start: the running guest has no <mtu>")

		h.Run(t, "virsh", "-q", "managedsave", "save1")
		h.Run(t, "virsh", "-q", "managedsave-remove", "save1")
		if got := h.Boot(t, "save1"); got != 9000 {
			t.Errorf("without its image it boots at %d", got)
		}
		destroy(t, h, "save1")
	})

	t.Run("what a start would refuse", func(t *testing.T) {
		define(t, h, "old2", nic("rtl8139", 0))
		h.WriteFile(t, config, "incapable = 'clamp'", 0o644)
		start(t, h, "old2")
		h.Run(t, "rm", config)
		h.Run(t, "virsh", "-q", "save", "old2", "/run/lab/old2.img")
		given(t, "old2", "restore", "/run/lab/old2.img")
		wantSays(t, "syslog", h.Syslog(t), `domain "old2": prepare: NIC 52:54:00:00:00:01: model rtl8139 carries at most 1500, but bridge br0 has 9000; not refused, it comes from a migration or a saved state`)
		h.Run(t, "virsh", "-q", "managedsave", "old2")
		given(t, "old2", "start", "old2")
		destroy(t, h, "old2")
		refusedStart(t, h, "old2")
	})

	t.Run("what lacks its mtu, with uninjected = refuse", func(t *testing.T) {
		configure(t, h, "uninjected = 'refuse'")
		define(t, h, "web3", nic("virtio", 0))
		must(t, h, "fix", "web3")
		start(t, h, "web3")
		must(t, h, "fix", "--undo", "web3")
		h.Run(t, "virsh", "-q", "managedsave", "web3")
		given(t, "web3", "start", "web3")
		if !hasMTU(live(t, h, "web3"), "9000") {
			t.Error("saved with <mtu>, given back without")
		}
		destroy(t, h, "web3")
	})
}

func refusedStart(t *testing.T, h *lab.Host, domain string) {
	t.Helper()
	r := h.Try(t, "virsh", "-q", "start", domain)
	if r.Exit == 0 {
		t.Errorf("%s: started", domain)
	}
	wantSays(t, "virsh", r.Stderr, "rtl8139 carries at most 1500", "hint: ")
}

// Snapshots in the guest's own disk: what a revert brings back.
func TestIntegrationSnapshot(t *testing.T) {
	t.Parallel()
	h := hooked(t)
	withDisk := func(name, interfaces string) {
		t.Helper()
		disk := "/var/lib/libvirt/" + name + ".qcow2"
		h.Run(t, "qemu-img", "create", "-q", "-f", "qcow2", disk, "1M")
		define(t, h, name, interfaces+"<disk type='file' device='disk'><driver name='qemu' type='qcow2'/><source file='"+disk+"'/><target dev='vda' bus='virtio'/></disk>")
	}

	t.Run("one that lost its mtu is put right by fix, and said", func(t *testing.T) {
		withDisk("snap1", nic("virtio", 0))
		h.Run(t, "virsh", "-q", "snapshot-create-as", "snap1", "before")
		must(t, h, "fix", "snap1")
		h.Run(t, "virsh", "-q", "snapshot-revert", "snap1", "before")
		if strings.Contains(persistent(t, h, "snap1"), "<mtu") {
			t.Fatal("the revert keeps the <mtu>: there is nothing to put right")
		}
		wantSays(t, "fix", must(t, h, "fix", "snap1"), "inject: mtu none -> 9000")
		if !hasMTU(persistent(t, h, "snap1"), "9000") {
			t.Error("not put right")
		}
	})

	t.Run("to an active one that a start refuses", func(t *testing.T) {
		withDisk("snap2", nic("rtl8139", 0))
		h.WriteFile(t, config, "incapable = 'clamp'", 0o644)
		start(t, h, "snap2")
		h.Run(t, "virsh", "-q", "snapshot-create-as", "snap2", "live")
		destroy(t, h, "snap2")
		h.Run(t, "rm", config)
		r := h.Try(t, "virsh", "-q", "snapshot-revert", "snap2", "live")
		if r.Exit == 0 {
			t.Fatal("it was not refused: then there is a sign, and it should be let in by it")
		}
		wantSays(t, "virsh", r.Stderr, "rtl8139 carries at most 1500", `mtu = "ignore" in a [[rule]]`, "(to revert to a snapshot of it running, which looks like a start from here: the latter)")
		h.WriteFile(t, config, "[[rule]]\ndomain = 'snap2'\nmtu = 'ignore'", 0o644)
		h.Run(t, "virsh", "-q", "snapshot-revert", "snap2", "live")
		if s := state(t, h, "snap2"); s != "running" {
			t.Errorf("it is %q", s)
		}
		destroy(t, h, "snap2")
		h.Run(t, "rm", config)
	})

	t.Run("to an active one that lacks its mtu", func(t *testing.T) {
		withDisk("snap3", nic("virtio", 0))
		start(t, h, "snap3")
		h.Run(t, "virsh", "-q", "snapshot-create-as", "snap3", "live")
		destroy(t, h, "snap3")
		must(t, h, "fix", "snap3")
		h.WriteFile(t, config, "uninjected = 'refuse'", 0o644)
		r := h.Try(t, "virsh", "-q", "snapshot-revert", "snap3", "live")
		wantSays(t, "virsh", r.Stderr, "lacks <mtu size='9000'/>", `a transient domain or a snapshot has to bring its own, or uninjected = "allow"`)
		h.Run(t, "rm", config)
		h.Run(t, "virsh", "-q", "snapshot-revert", "snap3", "live")
		wantSays(t, "fix", must(t, h, "fix", "snap3"), "inject: mtu none -> 9000", "waits for a cold start: the running guest has no <mtu>")
		destroy(t, h, "snap3")
	})
}

// A mark cannot be had for another domain by bringing something with its name on.
func TestIntegrationMarkForged(t *testing.T) {
	t.Parallel()
	p := newPair(t)
	const uuid = "6f1d2c3a-8b4e-4d5f-9a60-000000000001"
	identified := func(h *lab.Host, name, interfaces string) {
		h.Define(t, strings.Replace(h.Domain(t, name, interfaces), "<name>", "<uuid>"+uuid+"</uuid><name>", 1))
	}
	identified(p.b, "victim", nic("rtl8139", 0))
	identified(p.a, "evil", nic("virtio", 0))
	start(t, p.a, "evil")

	t.Run("a migration with its UUID", func(t *testing.T) {
		r := p.migrate(t, p.b, "evil")
		wantSays(t, "libvirt", r.Stderr, "victim") // it knows that UUID by another name
		refusedStart(t, p.b, "victim")
	})
	t.Run("the same guest, renamed to it", func(t *testing.T) {
		r := p.migrate(t, p.b, "evil", "--live", "--dname", "victim", "--persistent")
		if r.Exit == 0 { // libvirt takes it for the victim: then it is that guest, not the definition
			destroy(t, p.b, "victim")
			p.b.Run(t, "virsh", "-q", "undefine", "victim")
			identified(p.b, "victim", nic("rtl8139", 0))
			start(t, p.a, "evil")
		}
		refusedStart(t, p.b, "victim")
	})
	t.Run("an image with its UUID", func(t *testing.T) {
		p.a.Run(t, "virsh", "-q", "save", "evil", "/run/lab/evil.img")
		copyFile(t, p.a, p.b, "/run/lab/evil.img")
		r := p.b.Try(t, "virsh", "-q", "restore", "/run/lab/evil.img")
		if r.Exit == 0 {
			t.Fatal("libvirt restores it: what is expected of it is not so")
		}
		refusedStart(t, p.b, "victim")
	})
	t.Run("a migration that another hook stops", func(t *testing.T) {
		p.a.Run(t, "virsh", "-q", "undefine", "evil")
		p.a.WriteFile(t, config, "incapable = 'clamp'", 0o644)
		define(t, p.a, "twin", nic("rtl8139", 0))
		start(t, p.a, "twin")
		p.b.Hook(t, "qemu.d/60-no", "#!/bin/sh\n[ $2 != migrate ]\n")
		if r := p.migrate(t, p.b, "twin"); r.Exit == 0 {
			t.Fatal("not stopped")
		}
		p.b.Run(t, "rm", "/etc/libvirt/hooks/qemu.d/60-no")
		// The mark is there and counts for that guest alone: another NIC is another guest.
		p.b.Define(t, strings.Replace(persistent(t, p.a, "twin"), "00:01", "00:02", 1))
		refusedStart(t, p.b, "twin")
	})
}

// copyFile copies a file to the same path of another host.
func copyFile(t *testing.T, from, to *lab.Host, path string) {
	t.Helper()
	to.WriteFile(t, path, from.ReadFile(t, path), 0o600)
}
