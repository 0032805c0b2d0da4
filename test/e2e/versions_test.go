package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/container"
	"virt-mtu/test/lab"
)

// Between libvirt 9.0 and 11.3, in both directions, each as its Debian has it, with our
// hook installed by virt-mtu in both.
func TestIntegrationMigrateVersions(t *testing.T) {
	t.Parallel()
	releases := []string{"bookworm", "trixie"}
	mig := []string{migA, migB}
	at := []string{addrA, addrB}
	boxes := make([]*container.Container, 2)
	hosts := "127.0.0.1 localhost\n"
	for i, release := range releases {
		boxes[i] = container.New(t, release)
		hosts += mig[i] + " " + boxes[i].Name + "\n"
	}
	boxes[0].Wire(t, "mig", boxes[1], "mig")
	boxes[0].Wire(t, "trunk", boxes[1], "trunk")
	for i, c := range boxes {
		c.WriteFile(t, "/etc/hosts", hosts, 0o644)
		libvirtOn(t, c, mig[i], at[i])
		for _, program := range []string{"virt-mtu", "qemu-hook"} {
			b, err := os.ReadFile(bin(t, program))
			if err != nil {
				t.Fatal(err)
			}
			c.WriteFile(t, "/usr/bin/"+program, string(b), 0o755)
		}
		wantSays(t, "hook install on "+releases[i], c.Run(t, "virt-mtu", "hook", "install"), "reloaded libvirtd")
	}

	// An old machine type, which both have.
	guest := func(c *container.Container, name, interfaces string) {
		t.Helper()
		c.WriteFile(t, "/run/lab/define.xml", strings.Replace(lab.Domain(t, name, interfaces), "machine='pc'", "machine='pc-i440fx-7.2'", 1), 0o644)
		c.Run(t, "virsh", "-q", "define", "/run/lab/define.xml")
		c.Run(t, "virsh", "-q", "start", name)
	}
	migrate := func(to int, name string, flags ...string) lab.Result {
		t.Helper()
		words := slices.Concat([]string{"virsh", "-q", "migrate"}, flags, []string{name, "qemu+tcp://" + mig[to] + "/system", "tcp://" + mig[to]})
		return boxes[1-to].Try(t, words...)
	}
	said := func(c *container.Container) string {
		t.Helper()
		return c.Run(t, "journalctl", "--no-pager", "--output=cat", "--identifier=virt-mtu-hook")
	}
	pings := func(from int, size int) bool {
		t.Helper()
		for range 10 {
			r := lab.Guest(t, boxes[from].Machine, lab.GuestAddr, "/bin/ping", "-c", "1", "-W", "2", "-M", "do", "-s", strconv.Itoa(size-28), at[from])
			if r.Exit == 0 {
				return true
			}
			time.Sleep(time.Second)
		}
		return false
	}
	unmarked := func(c *container.Container) {
		t.Helper()
		if marks := c.Try(t, "ls", "-A", "/run/virt-mtu/incoming").Stdout; marks != "" {
			t.Errorf("marks are left: %s", marks)
		}
	}

	guest(boxes[0], "m1", nic("virtio", 9000))
	up := func() bool { return strings.Contains(boxes[0].ReadFile(t, "/run/lab/m1.console"), "GUEST-READY") }
	eventually(t, "the guest is up", up)
	for to := range []int{1, 0} {
		to = 1 - to // first to trixie, then back
		from, there := 1-to, boxes[to]
		direction := fmt.Sprintf("%s to %s", releases[from], releases[to])
		t.Run(direction, func(t *testing.T) {
			if !pings(from, 9000) {
				t.Fatal("9000 bytes do not get through at the source, before anything")
			}
			there.Run(t, "ip", "link", "set", "trunk", "mtu", "1500")
			for _, flags := range [][]string{{"--live"}, {"--live", "--p2p"}} {
				wantSays(t, "virsh at the source", migrate(to, "m1", flags...).Stderr, `migration of domain "m1" refused: NIC 52:54:00:00:00:01: the guest has 9000, but uplink trunk of bridge br0 has 1500 on `+there.Name, "hint: ")
			}
			wantSays(t, "journal there", said(there), `domain "m1": migrate: refused`)
			if !pings(from, 9000) {
				t.Error("at the source 9000 bytes do not get through any more")
			}
			unmarked(there)

			there.Run(t, "ip", "link", "set", "trunk", "mtu", "9000")
			before := boxes[from].Run(t, "virsh", "dumpxml", "--migratable", "--xpath", "//interface", "m1")
			if r := migrate(to, "m1", "--live", "--p2p", "--persistent", "--undefinesource"); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
			}
			wantSame(t, "its NIC there", before, there.Run(t, "virsh", "dumpxml", "--migratable", "--xpath", "//interface", "m1"))
			if !pings(to, 9000) {
				t.Error("there 9000 bytes do not get through")
			}
			unmarked(there)

			// What a start here would refuse is let in, and known for what it is.
			old := fmt.Sprintf("old%d", to)
			boxes[from].WriteFile(t, config, "incapable = 'clamp'", 0o644)
			guest(boxes[from], old, strings.Replace(nic("rtl8139", 0), "00:01", "00:02", 1))
			boxes[from].Run(t, "rm", config)
			if r := migrate(to, old, "--live", "--persistent"); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
			}
			wantSays(t, "journal there", said(there), fmt.Sprintf("domain %q: prepare: NIC 52:54:00:00:00:02: model rtl8139 carries at most 1500, but bridge br0 has 9000; not refused", old))
			unmarked(there)
			there.Run(t, "virsh", "-q", "managedsave", old)
			there.Run(t, "virsh", "-q", "start", old)
			unmarked(there)
			there.Run(t, "virsh", "-q", "destroy", old)
			there.Run(t, "virsh", "-q", "undefine", old)

			// No start follows an offline migration.
			if r := migrate(to, old, "--offline", "--persistent"); r.Exit != 0 {
				t.Fatalf("exit %d\n%s", r.Exit, r.Stderr)
			}
			wantSays(t, "virsh there", there.Try(t, "virsh", "-q", "start", old).Stderr, "rtl8139 carries at most 1500")
		})
	}
}

// libvirtOn makes a container one that guests migrate to, at mig, with br0 at addr.
func libvirtOn(t *testing.T, c *container.Container, mig, addr string) {
	t.Helper()
	c.Run(t, "mkdir", "-p", "/run/lab")
	c.Run(t, "ip", "addr", "add", mig+"/24", "dev", "mig")
	c.Run(t, "ip", "link", "set", "mig", "up")
	c.Run(t, "ip", "link", "add", "br0", "type", "bridge")
	c.Run(t, "ip", "link", "set", "br0", "mtu", "9000", "up")
	c.Run(t, "ip", "addr", "add", addr+"/24", "dev", "br0")
	c.Run(t, "ip", "link", "set", "trunk", "mtu", "9000", "master", "br0", "up")
	c.Run(t, "bash", "-c", `printf 'auth_tcp = "none"\nhost_uuid = "%s"\n' "$(cat /proc/sys/kernel/random/uuid)" >>/etc/libvirt/libvirtd.conf`)
	c.Run(t, "systemctl", "stop", "libvirtd.service", "libvirtd.socket", "libvirtd-ro.socket", "libvirtd-admin.socket")
	c.Run(t, "systemctl", "start", "libvirtd-tcp.socket", "libvirtd.socket")
	c.Run(t, "systemctl", "start", "libvirtd.service")
	c.Run(t, "virsh", "-q", "list")
}
