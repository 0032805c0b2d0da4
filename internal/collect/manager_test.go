package collect

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/host"
	"virt-mtu/test/netns"
)

// over hides a folder behind an empty one, for this test's namespace.
func over(t *testing.T, dir string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, ""); err != nil {
		t.Fatalf("mount on %s: %v", dir, err)
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestIntegrationManager(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		over(t, "/etc")
		none := newManagers()
		if got := none.of(&link{Link: host.Link{Name: "eth0", Index: 2}}); got != "" {
			t.Errorf("on a host with none of them: %q", got)
		}

		write(t, "/etc/netplan/50-cloud-init.yaml", `network:
  version: 2
  ethernets:
    plan0: {mtu: 9000}
    "plan1":
      match: {macaddress: 52:54:00:00:00:01}
      set-name: plan2 # not plan9:
  bridges:
    plan3:
      interfaces: [plan0]
`)
		write(t, "/run/systemd/netif/links/10", "# This is private data. Do not parse.\nADMIN_STATE=configured\nOPER_STATE=routable\nNETWORK_FILE=/etc/systemd/network/br.network\n")
		write(t, "/run/systemd/netif/links/11", "ADMIN_STATE=unmanaged\nOPER_STATE=routable\n")
		write(t, "/run/systemd/netif/links/12", "ADMIN_STATE=configuring\nNETWORK_FILE=/run/systemd/network/10-netplan-id0.network\n")
		write(t, "/run/NetworkManager/devices/20", "[device]\nmanaged=true\nconnection-uuid=11111111-0000-0000-0000-000000000000\nnm-owned=false\n")
		write(t, "/run/NetworkManager/devices/21", "[device]\nmanaged=false\n")
		write(t, "/run/NetworkManager/devices/22", "[device]\nperm-hw-addr-fake=52:54:00:00:00:01\n")
		write(t, "/run/NetworkManager/devices/23", "[device]\nmanaged=true\nconnection-uuid=22222222-0000-0000-0000-000000000000\n")
		write(t, "/run/NetworkManager/system-connections/virbr0.nmconnection", "[connection]\nid=virbr0\nuuid=22222222-0000-0000-0000-000000000000\ntype=bridge\n\n[.nmmeta]\nnm-generated=true\nvolatile=true\nexternal=true\n")
		write(t, "/etc/network/interfaces", "auto lo\niface lo inet loopback\n# iface no0 inet manual\nauto if0\niface if0 inet dhcp\n")
		write(t, "/etc/network/interfaces.d/br", "iface if1 inet manual\n")
		write(t, "/etc/sysconfig/network-scripts/ifcfg-cfg0", "DEVICE=cfg0\n")
		// What is no file, and what cannot be read, even by root.
		if err := syscall.Mkfifo("/etc/network/interfaces.d/fifo", 0o600); err != nil {
			t.Fatal(err)
		}
		for _, dir := range []string{"/etc/network/interfaces.d/old", "/etc/netplan/old.yaml", "/run/systemd/netif/links/1"} {
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for _, loop := range []string{"/etc/netplan/loop.yaml", "/run/NetworkManager/system-connections/loop.nmconnection"} {
			if err := os.Symlink(loop, loop); err != nil {
				t.Fatal(err)
			}
		}

		m := newManagers()
		for _, tt := range []struct {
			link link
			want string
		}{
			{link{Link: host.Link{Name: "plan0", Index: 2}}, "netplan"},
			{link{Link: host.Link{Name: "plan1", Index: 2}}, "netplan"},
			{link{Link: host.Link{Name: "plan2", Index: 2}}, "netplan"},
			{link{Link: host.Link{Name: "plan3", Index: 10}}, "netplan"},
			{link{Link: host.Link{Name: "plan9", Index: 2}}, ""},
			{link{Link: host.Link{Name: "eth0", Index: 10}}, "networkd"},
			{link{Link: host.Link{Name: "eth0", Index: 11}}, ""},
			{link{Link: host.Link{Name: "eth0", Index: 12}}, "netplan"},
			{link{Link: host.Link{Name: "eth0", Index: 20}}, "networkmanager"},
			{link{Link: host.Link{Name: "eth0", Index: 21}}, ""},
			{link{Link: host.Link{Name: "eth0", Index: 22}}, ""},
			{link{Link: host.Link{Name: "virbr0", Index: 23}}, ""},
			{link{Link: host.Link{Name: "if0", Index: 21}}, "ifupdown"},
			{link{Link: host.Link{Name: "if1", Index: 2}}, "ifupdown"},
			{link{Link: host.Link{Name: "no0", Index: 2}}, ""},
			{link{Link: host.Link{Name: "cfg0", Index: 2}}, "ifcfg"},
			{link{Link: host.Link{Name: "cfg0", Index: 20}}, "networkmanager"},
			{link{Link: host.Link{Name: "plan0", Kind: "tun", Tap: true}}, ""},
			{link{Link: host.Link{Name: "plan0", Kind: "veth"}}, ""},
			{link{Link: host.Link{Name: "plan0", Kind: "macvtap"}}, ""},
		} {
			if got := m.of(&tt.link); got != tt.want {
				t.Errorf("%s, %d: %q, want %q", tt.link.Name, tt.link.Index, got, tt.want)
			}
		}
		if s := Read(); len(s.Unread) > 0 {
			t.Errorf("unread: %q", s.Unread)
		}
	})
}

func TestIntegrationPCI(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		over(t, "/sys/bus")
		if got, errs := readPCI(nil); got != nil || errs != nil {
			t.Errorf("without a bus: %v, %v", got, errs)
		}
		device := func(address, class string, dirs ...string) {
			dir := filepath.Join(pciDevices, address)
			write(t, filepath.Join(dir, "class"), class+"\n")
			for _, d := range dirs {
				if err := os.MkdirAll(filepath.Join(dir, d), 0o755); err != nil {
					t.Fatal(err)
				}
			}
		}
		device("0000:00:1f.0", "0x060100")
		device("0000:03:00.0", "0x020000", "net/rep0", "net/pf0") // pf0 was first
		device("0000:03:10.0", "0x020000", "net/vf0")
		device("0000:03:10.2", "0x020000") // a guest has it
		device("0000:04:00.0", "0x020700", "net/gone0")
		device("0000:05:00.0", "0x020000", "virtio1/net/eth0")
		for _, vf := range []string{"0000:03:10.0", "0000:03:10.2"} {
			if err := os.Symlink("../0000:03:00.0", filepath.Join(pciDevices, vf, "physfn")); err != nil {
				t.Fatal(err)
			}
		}
		if err := os.Symlink("../nowhere", filepath.Join(pciDevices, "0000:06:00.0")); err != nil { // it has just gone
			t.Fatal(err)
		}
		var links []link
		for i, name := range []string{"eth0", "pf0", "vf0", "rep0"} {
			links = append(links, link{Link: host.Link{Name: name, Index: i + 1}})
		}
		got, errs := readPCI(links)
		if errs != nil {
			t.Error(errs)
		}
		want := []host.PCI{
			{Address: "0000:03:00.0", Link: "pf0"},
			{Address: "0000:03:10.0", Link: "vf0", PF: "0000:03:00.0"},
			{Address: "0000:03:10.2", PF: "0000:03:00.0"},
			{Address: "0000:04:00.0"},
			{Address: "0000:05:00.0", Link: "eth0"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}
