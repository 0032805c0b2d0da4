package host

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"virt-mtu/test/netns"
)

func TestDnsmasqLine(t *testing.T) {
	for _, tt := range []struct {
		lines        string
		dhcp         bool
		told, router int
	}{
		{"dhcp-range=192.0.2.2,192.0.2.9,255.255.255.0", true, 0, 0},
		{"dhcp-range=192.0.2.1,static", true, 0, 0},
		{"dhcp-range=fd00::2,fd00::9,64", false, 0, 0},
		{"dhcp-option=option:mtu,9000", false, 9000, 0},
		{" dhcp-option = 26 , 1400 ", false, 1400, 0},
		{"dhcp-option-force=26,1400", false, 1400, 0},
		{"dhcp-option=option:mtu,9000\ndhcp-option=26,1400", false, 1400, 0},
		{"dhcp-option=option:mtu,9000\ndhcp-option=26", false, 0, 0},
		{"dhcp-option=option:mtu,9000\ndhcp-option=tag:slow,26,1400", false, 9000, 0},
		{"dhcp-option=option6:mtu,9000\ndhcp-option=option:router\ndhcp-option=", false, 0, 0},
		{"dhcp-option=26,many\ndhcp-option=26,99999", false, 0, 0},
		{"ra-param=virbr0,mtu:1400,high,60", false, 0, 1400},
		{"ra-param=virbr0,mtu:off,60\nra-param=eth0,60\nra-param", false, 0, 0},
		{"#dhcp-option=26,1400\nstrict-order\n=\n", false, 0, 0},
	} {
		var n Network
		for line := range strings.Lines(tt.lines) {
			n.dnsmasqLine(line)
		}
		if n.DHCP != tt.dhcp || n.DHCPMTU != tt.told || n.RouterMTU != tt.router {
			t.Errorf("%q: %+v", tt.lines, n)
		}
	}
}

func TestIntegrationReadDnsmasq(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		if err := syscall.Mount("tmpfs", "/var", "tmpfs", 0, ""); err != nil {
			t.Fatal(err)
		}
		before := Network{Name: "lan", MTU: 9000, DHCP: true, DHCPMTU: 9000}
		read := func(name string) Network {
			t.Helper()
			n := before
			n.Name = name
			if err := ReadDnsmasq(&n); err != nil {
				t.Error(err)
			}
			n.Name = "lan"
			return n
		}
		if got := read("lan"); got != before {
			t.Errorf("without a folder: %+v", got)
		}
		if err := os.MkdirAll(dnsmasqConfigs, 0o755); err != nil {
			t.Fatal(err)
		}
		for name, text := range map[string]string{
			"lan.conf":      "dhcp-range=192.0.2.2,192.0.2.9\ndhcp-option=option:mtu,1400\n",
			"none.conf":     "dhcp-option=option:mtu,1400\n",
			"../other.conf": "dhcp-range=192.0.2.2,192.0.2.9\n",
		} {
			if err := os.WriteFile(filepath.Join(dnsmasqConfigs, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if got := read("lan"); !got.DHCP || got.DHCPMTU != 1400 || got.MTU != 9000 {
			t.Errorf("%+v", got)
		}
		if got := read("none"); got.DHCP || got.DHCPMTU != 0 {
			t.Errorf("no DHCP there: %+v", got)
		}
		if got := read("../other"); got != before {
			t.Errorf("a path is no name: %+v", got)
		}
		if err := syscall.Mkfifo(filepath.Join(dnsmasqConfigs, "fifo.conf"), 0o600); err != nil {
			t.Fatal(err)
		}
		read("fifo") // does not wait for a writer
	})
}
