package host

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/netns"
)

func TestParseNetworkFiles(t *testing.T) {
	for file, want := range map[string]Network{
		"live/isolated.xml":    {Name: "isolated", Bridge: "virbr7", MTU: 9000, MAC: "52:54:00:0b:71:96"},
		"live/nat.xml":         {Name: "nat", Bridge: "virbr0", Forward: "nat", MAC: "52:54:00:21:a4:0f"},
		"live/open net.xml":    {Name: "open net", Bridge: "virbr8", Forward: "open", MAC: "52:54:00:db:2a:14"},
		"live/lan.xml":         {Name: "lan", Bridge: "br0", Forward: "bridge"},
		"live/ovs.xml":         {Name: "ovs", Bridge: "ovsbr0", Forward: "bridge", OVS: true},
		"live/macvtap.xml":     {Name: "macvtap", Forward: "private"},
		"defined/isolated.xml": {Name: "isolated", Bridge: "virbr7", MTU: 1500, MAC: "52:54:00:6c:af:3f"},
		"defined/off.xml":      {Name: "off", Bridge: "virbr9", Forward: "route", MTU: 1400, MAC: "52:54:00:e7:a8:65"},
		"defined/ovs.xml":      {Name: "ovs", Bridge: "ovsbr0", Forward: "bridge", OVS: true},
	} {
		t.Run(file, func(t *testing.T) {
			src, err := os.ReadFile(filepath.Join("testdata", file))
			if err != nil {
				t.Fatal(err)
			}
			got, err := ParseNetwork(src)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseNetwork(t *testing.T) {
	for _, tt := range []struct {
		name, xml string
		want      Network
	}{
		{"forward without mode", `<network><name>n</name><forward dev='eth0'/></network>`, Network{Name: "n", Forward: "nat"}},
		{"forward none", `<network><name>n</name><forward mode='none'/></network>`, Network{Name: "n"}},
		{"mtu 0 is none", `<network><name>n</name><mtu size='0'/></network>`, Network{Name: "n"}},
		{"mtu empty is none", `<network><name>n</name><mtu size=''/></network>`, Network{Name: "n"}},
		{"largest", `<network><name>n</name><mtu size='65535'/></network>`, Network{Name: "n", MTU: 65535}},
		{"a portgroup's port is not the network's", `<network><name>n</name><portgroup name='p'><virtualport type='openvswitch'/></portgroup></network>`, Network{Name: "n"}},
		{"other port", `<network><name>n</name><virtualport type='midonet'/></network>`, Network{Name: "n"}},
		{"DHCP tells the network's number", `<network><name>n</name><mtu size='9000'/><ip address='192.0.2.1'><dhcp><range start='192.0.2.2' end='192.0.2.9'/></dhcp></ip></network>`,
			Network{Name: "n", MTU: 9000, DHCP: true, DHCPMTU: 9000}},
		{"DHCP for IPv6 has no such option", `<network><name>n</name><mtu size='9000'/><ip family='ipv6' address='fd00::1'><dhcp><range start='fd00::2' end='fd00::9'/></dhcp></ip></network>`,
			Network{Name: "n", MTU: 9000, IPv6: true}},
		{"an option of the admin's own", `<network xmlns:d='http://libvirt.org/schemas/network/dnsmasq/1.0'><name>n</name><mtu size='9000'/><ip address='192.0.2.1'><dhcp><host mac='52:54:00:00:00:01' ip='192.0.2.2'/></dhcp></ip>` +
			`<d:options><d:option value='dhcp-option=tag:x,26,1300'/><d:option value='dhcp-option=option:mtu,1400'/><d:option value='ra-param=virbr0,mtu:1400,60'/></d:options></network>`,
			Network{Name: "n", MTU: 9000, DHCP: true, DHCPMTU: 1400, RouterMTU: 1400}},
		{"an option of another namespace", `<network><name>n</name><options><option value='dhcp-option=26,1400'/></options></network>`, Network{Name: "n"}},
		{"entities", `<?xml version="1.0"?><network><name>a&amp;b</name></network>`, Network{Name: "a&b"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := ParseNetwork([]byte(tt.xml))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseNetworkErrors(t *testing.T) {
	for _, tt := range []struct{ name, xml, want string }{
		{"empty", "", "no element"},
		{"other root", "<domain><name>n</name></domain>", "root is <domain>"},
		{"other namespace", "<network xmlns='urn:x'><name>n</name></network>", "root is <network>"},
		{"cut off", "<network><name>n</name>", "EOF"},
		{"nameless", "<network/>", "no <name>"},
		{"status without network", "<networkstatus/>", "no <name>"},
		{"no number", "<network><name>n</name><mtu size='9k'/></network>", `size="9k"`},
		{"too large a number", "<network><name>n</name><mtu size='65536'/></network>", "65535"},
		{"too large a file", strings.Repeat(" ", maxNetwork+1), "larger than"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if n, err := ParseNetwork([]byte(tt.xml)); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("%+v, %v; want an error with %q", n, err, tt.want)
			}
		})
	}
}

func FuzzParseNetwork(f *testing.F) {
	files, err := filepath.Glob("testdata/*/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatal(files, err)
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(src)
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		n, err := ParseNetwork(src)
		if err == nil && (n.Name == "" || n.MTU < 0 || n.MTU > 65535) {
			t.Errorf("%+v", n)
		}
	})
}

// libvirtFiles puts testdata where libvirt has its files, in a namespace.
func libvirtFiles(t *testing.T) {
	t.Helper()
	if err := syscall.Mount("tmpfs", "/etc", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{"testdata/live": liveNetworks, "testdata/defined": definedNetworks} {
		if err := os.MkdirAll(filepath.Dir(to), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.CopyFS(to, os.DirFS(from)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestIntegrationReadNetworks(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		if got, err := ReadNetworks([]string{"isolated"}); got != nil || err != nil {
			t.Errorf("without libvirt: %v, %v", got, err)
		}
		libvirtFiles(t)
		write := func(dir, name, xml string) {
			t.Helper()
			if err := os.WriteFile(filepath.Join(dir, name), []byte(xml), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		write(liveNetworks, "liar.xml", "<networkstatus><network><name>nat</name></network></networkstatus>")
		write(definedNetworks, "broken.xml", "<network>")
		write("/run", "outside.xml", "<network><name>outside</name></network>")
		if err := syscall.Mkfifo(filepath.Join(definedNetworks, "fifo.xml"), 0o600); err != nil {
			t.Fatal(err)
		}

		// The live file is what holds, with what its definition says otherwise; what is not
		// there is passed over.
		got, err := ReadNetworks([]string{"isolated", "off", "isolated", "nosuch", "", "../../outside", "..", "autostart/x", "*"})
		if err != nil {
			t.Error(err)
		}
		want := []Network{
			{Name: "isolated", Bridge: "virbr7", MTU: 9000, Redefined: true, DefinedMTU: 1500, MAC: "52:54:00:0b:71:96"},
			{Name: "off", Bridge: "virbr9", Forward: "route", MTU: 1400, MAC: "52:54:00:e7:a8:65"},
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}

		// One that is no good does not hide the others.
		got, err = ReadNetworks([]string{"liar", "broken", "fifo", "lan"})
		if diff := cmp.Diff([]Network{{Name: "lan", Bridge: "br0", Forward: "bridge"}}, got); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		for _, part := range []string{`"liar": /run/libvirt/network/liar.xml: it is called "nat" there`, `"broken"`, `"fifo"`} {
			if err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("error %v lacks %s", err, part)
			}
		}
	})
}
