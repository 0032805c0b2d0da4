package ansible

import (
	"strings"
	"testing"
	"time"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
)

const evacuate = "virt_mtu.virt_mtu.evacuate"

// A host with a guest at 9000 is emptied, first to one whose wire carries 1500.
func evacuates(t *testing.T, ctl *Controller, from, to *container.Container) {
	trust(t, from, to)
	jumbo(t, from, "guest1")
	from.Run(t, "virsh", "-q", "start", "guest1")
	vars := map[string]any{
		"virt_mtu_evacuate_host":        from.Name,
		"virt_mtu_evacuate_to":          []string{to.Name},
		"virt_mtu_evacuate_migrate_uri": "tcp://%s",
	}
	play := func(exit, changed int, flags ...string) string {
		t.Helper()
		r := ctl.Play(t, evacuate, vars, flags...)
		if got := r.Hosts[from.Name]; r.Exit != exit || got.Changed != changed {
			t.Fatalf("exit %d, want %d; changed %d, want %d\n%s", r.Exit, exit, got.Changed, changed, r.Output)
		}
		return r.Output
	}
	runs := func(c *container.Container) string {
		t.Helper()
		return strings.TrimSpace(c.Run(t, "virsh", "-q", "list", "--name"))
	}

	if said := play(2, 0); !strings.Contains(said, "guest-above-segment") || !strings.Contains(said, "nothing was migrated: for guest1 there is no destination") {
		t.Error(said)
	}
	if runs(from) != "guest1" || runs(to) != "" {
		t.Fatalf("%s runs %q, %s %q", from.Name, runs(from), to.Name, runs(to))
	}

	// What has not booted yet is of no use there.
	eventually(t, "the guest is up", func() bool {
		return strings.Contains(from.ReadFile(t, "/run/lab/guest1.console"), "GUEST-READY")
	})
	carries(t, to, "9000")
	if said := play(0, 0, "--check"); !strings.Contains(said, "guest1 to "+to.Name+": yes") {
		t.Error(said)
	}
	if runs(from) != "guest1" {
		t.Fatal("check mode has moved it")
	}
	play(0, 1)
	if runs(from) != "" || runs(to) != "guest1" {
		t.Fatalf("%s runs %q, %s %q", from.Name, runs(from), to.Name, runs(to))
	}
	to.Run(t, "ip", "addr", "add", "192.0.2.1/24", "dev", "br0")
	eventually(t, "the guest says there that it has 9000", func() bool {
		return strings.TrimSpace(lab.Guest(t, to.Machine, lab.GuestAddr, "cat", "/sys/class/net/eth0/mtu").Stdout) == "9000"
	})
	tap := strings.Fields(to.Run(t, "virsh", "-q", "domiflist", "guest1"))[0]
	if got := to.MTU(t, tap); got != 9000 {
		t.Errorf("its tap %s has %d there", tap, got)
	}
	play(0, 0)
}

// jumbo defines a guest that is told 9000 on br0.
func jumbo(t testing.TB, c *container.Container, name string) {
	t.Helper()
	const nic = "<interface type='bridge'><source bridge='br0'/><model type='virtio'/><mtu size='9000'/></interface>"
	c.WriteFile(t, "/run/lab/define.xml", lab.Domain(t, name, nic), 0o644)
	c.Run(t, "virsh", "-q", "define", "/run/lab/define.xml")
}

func eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for start := time.Now(); !holds(); time.Sleep(200 * time.Millisecond) {
		if time.Since(start) > 3*time.Minute {
			t.Fatalf("not within 3 minutes: %s", what)
		}
	}
}

// trust lets root of one host in on the other, as libvirt's qemu+ssh wants it, and has each
// called by its own name.
func trust(t testing.TB, from, to *container.Container) {
	t.Helper()
	addr := strings.Fields(to.Run(t, "ip", "-4", "-o", "addr", "show", "dev", "ansible0"))[3]
	addr, _, _ = strings.Cut(addr, "/")
	from.Run(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/root/.ssh/id_ed25519")
	authorized := to.ReadFile(t, "/root/.ssh/authorized_keys")
	to.WriteFile(t, "/root/.ssh/authorized_keys", authorized+from.ReadFile(t, "/root/.ssh/id_ed25519.pub"), 0o600)
	from.WriteFile(t, "/root/.ssh/known_hosts", addr+" "+to.ReadFile(t, "/etc/ssh/ssh_host_ed25519_key.pub"), 0o600)
	from.WriteFile(t, "/etc/hosts", "127.0.0.1 localhost\n"+addr+" "+to.Name+"\n", 0o644)
	for _, c := range []*container.Container{from, to} {
		// Containers of one root: libvirt takes what has one UUID for one host.
		c.Run(t, "bash", "-c", `printf 'host_uuid = "%s"\n' "$(cat /proc/sys/kernel/random/uuid)" >>/etc/libvirt/libvirtd.conf; systemctl restart libvirtd.service; virsh -q list`)
	}
}
