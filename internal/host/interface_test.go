package host

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// As libvirt 9.0 writes them (virsh iface-dumpxml), but for the VLAN and the bond, which
// are by its source.
const (
	bridgeXML = `<interface type='bridge' name='br0'>
  <mtu size='1400'/>
  <bridge stp='off' delay='1500'>
    <interface type='ethernet' name='tap0'>
      <link state='down'/>
      <mac address='b2:8c:cf:f9:ff:df'/>
    </interface>
    <interface type='vlan' name='eth0.5'>
      <link speed='10000' state='up'/>
      <vlan tag='5'>
        <interface name='eth0'/>
      </vlan>
    </interface>
    <interface type='bond' name='bond0'>
      <bond mode='active-backup'>
        <interface type='ethernet' name='eth1'/>
      </bond>
    </interface>
  </bridge>
</interface>
`
	vlanXML = `<interface type='vlan' name='eth0.5'><mtu size='9000'/><vlan tag='5'><interface name='eth0'/></vlan></interface>`
	bondXML = `<interface type='bond' name='bond0'><mtu size='9000'/><bond mode='active-backup'>` +
		`<interface type='ethernet' name='eth1'/><interface type='ethernet' name='eth2'/></bond></interface>`
	etherXML = "<interface type='ethernet' name='vx0'>\n  <mtu size='1400'/>\n  <link state='unknown'/>\n</interface>"
)

func TestParseInterface(t *testing.T) {
	for _, tt := range []struct {
		xml   string
		link  Link
		ports []Link
	}{
		{bridgeXML, Link{Name: "br0", Kind: "bridge", MTU: 1400}, []Link{
			{Name: "tap0", Kind: Virtual, Master: "br0"},
			{Name: "eth0.5", Kind: "vlan", Lower: "eth0", Master: "br0"},
			{Name: "bond0", Kind: "bond", Master: "br0"},
		}},
		{vlanXML, Link{Name: "eth0.5", Kind: "vlan", Lower: "eth0", MTU: 9000}, nil},
		{bondXML, Link{Name: "bond0", Kind: "bond", MTU: 9000}, []Link{{Name: "eth1", Kind: Virtual, Master: "bond0"}, {Name: "eth2", Kind: Virtual, Master: "bond0"}}},
		{etherXML, Link{Name: "vx0", Kind: Virtual, MTU: 1400}, nil},
		{"<interface type='bridge' name='br1'><bridge/></interface>", Link{Name: "br1", Kind: "bridge"}, nil},
		{"<interface type='wlan' name='wl0'/>", Link{Name: "wl0", Kind: Virtual}, nil},
	} {
		l, ports, err := ParseInterface([]byte(tt.xml))
		if err != nil {
			t.Errorf("%s: %v", tt.xml, err)
		}
		if d := cmp.Diff(tt.link, l) + cmp.Diff(tt.ports, ports); d != "" {
			t.Errorf("%s (-want +got):\n%s", tt.xml, d)
		}
	}
}

func TestParseInterfaceRefused(t *testing.T) {
	for xml, why := range map[string]string{
		"":                        "there is no <interface>",
		"nonsense":                "there is no <interface>",
		"<network name='br0'/>":   "its root is <network>",
		"<interface":              "there is no <interface>",
		"<interface name='br0'>":  "unexpected EOF",
		"<interface/>":            "no link can be called",
		"<interface name='a/b'/>": "no link can be called",
		"<interface name='br0'><mtu size='-1'/></interface>":                                        "not a number",
		"<interface name='br0'><mtu size='4294967295'/></interface>":                                "not a number",
		"<interface type='bridge' name='br0'><bridge><interface name='../x'/></bridge></interface>": "no link can be called",
		"<interface name='" + strings.Repeat("x", maxInterface) + "'/>":                             "larger than",
	} {
		if l, _, err := ParseInterface([]byte(xml)); err == nil || !strings.Contains(err.Error(), why) || len(err.Error()) > 400 {
			t.Errorf("%.100s: %+v, %v; want one about %q", xml, l, err, why)
		}
	}
}

func TestParseNetDevice(t *testing.T) {
	device := func(path, link string) string {
		return "<device><name>net_x</name><path>" + path + "</path><parent>computer</parent><capability type='net'><interface>" + link +
			"</interface><address>00:00:00:00:00:00</address><capability type='80203'/></capability></device>"
	}
	for _, tt := range []struct {
		xml      string
		link     string
		hardware bool
	}{
		{device("/sys/devices/pci0000:00/0000:00:03.0/virtio0/net/eth0", "eth0"), "eth0", true},
		{device("/sys/devices/virtual/net/lo", "lo"), "lo", false},
		{device("", "eth0"), "eth0", false},
		{device("/elsewhere/net/eth0", "eth0"), "eth0", false},
	} {
		link, hardware, err := ParseNetDevice([]byte(tt.xml))
		if err != nil || link != tt.link || hardware != tt.hardware {
			t.Errorf("%s: %q, %v, %v", tt.xml, link, hardware, err)
		}
	}
	for _, xml := range []string{"", "<device/>", device("/sys/devices/x", "a b"), "<interface/>"} {
		if link, _, err := ParseNetDevice([]byte(xml)); err == nil {
			t.Errorf("%q: %q", xml, link)
		}
	}
}

func FuzzParseInterface(f *testing.F) {
	for _, xml := range []string{bridgeXML, vlanXML, bondXML, etherXML} {
		f.Add([]byte(xml))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		l, ports, err := ParseInterface(src)
		if err != nil {
			return
		}
		for _, l := range append(ports, l) {
			if !ValidName(l.Name) || l.Lower != "" && !ValidName(l.Lower) || l.MTU < 0 {
				t.Errorf("%+v", l)
			}
		}
	})
}
