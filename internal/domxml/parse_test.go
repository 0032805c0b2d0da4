package domxml

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestParseLive reads what libvirt 9.0 gave a hook at started: a NIC of a network
// with <forward mode='bridge'/> is a type='bridge' by then, one of a network that
// libvirt routes is still a type='network'.
func TestParseLive(t *testing.T) {
	const owned = "urn:virt-mtu:owned:1"
	want := Domain{
		Name: "web01",
		UUID: "4dea22b3-1d52-d8f3-2516-782e98ab3fa0",
		NICs: []NIC{
			{Type: "bridge", MAC: "52:54:00:10:00:01", Model: "virtio", Bridge: "br0", Target: "vnet0"},
			{Type: "bridge", MAC: "52:54:00:10:00:02", Model: "virtio", Bridge: "br0", Network: "storage", Target: "vnet1", MTU: 9000},
			{Type: "network", MAC: "52:54:00:10:00:03", Model: "e1000e", Bridge: "virbr7", Network: "lab", Target: "vnet2"},
			{Type: "direct", MAC: "52:54:00:10:00:04", Model: "virtio", Dev: "lower0", Target: "macvtap0"},
		},
		Metadata: map[string]Element{owned: {
			Name: xml.Name{Space: owned, Local: "domain"},
			Children: []Element{{
				Name: xml.Name{Space: owned, Local: "nic"},
				Attrs: []xml.Attr{
					{Name: xml.Name{Local: "mac"}, Value: "52:54:00:10:00:02"},
					{Name: xml.Name{Local: "before"}, Value: "0"},
					{Name: xml.Name{Local: "set"}, Value: "9000"},
				},
			}},
		}},
	}
	got := mustParse(t, readFile(t, "libvirt-live.in.xml"))
	if diff := cmp.Diff(want, got.Domain); diff != "" {
		t.Errorf("Parse (-want +got):\n%s", diff)
	}
}

func TestParse(t *testing.T) {
	nic := func(n NIC) Domain { return Domain{NICs: []NIC{n}} }
	in := func(devices string) string { return "<domain><devices>" + devices + "</devices></domain>" }
	for _, tt := range []struct {
		name, xml string
		want      Domain
	}{
		{"empty domain", "<domain/>", Domain{}},
		{"name as it stands", "<domain><name>\n a\t</name></domain>", Domain{Name: "\n a\t"}},
		{"name, the first", "<domain><name/><name>b</name></domain>", Domain{}},
		{"name with a child, as XPath reads it", "<domain><name>a<b>c</b>d</name></domain>", Domain{Name: "acd"}},
		{"name from references and CDATA", "<domain><name>&lt;&#97;&#x62;<![CDATA[&amp;]]></name></domain>", Domain{Name: "<ab&amp;"}},
		{"name elsewhere", "<domain><os><name>a</name></os></domain>", Domain{}},
		{"uuid in another form", "<domain><uuid>\n6695EB01F6A4830479AA97F2502E1933 </uuid></domain>",
			Domain{UUID: "6695eb01-f6a4-8304-79aa-97f2502e1933"}},
		{"uuid empty, which libvirt takes for none", "<domain><uuid> </uuid></domain>", Domain{}},
		{"mac in a short form", in("<interface><mac address='52:54:0:A:b:1'/></interface>"), nic(NIC{MAC: "52:54:00:0a:0b:01"})},
		{"mac empty", in("<interface><mac address=''/></interface>"), nic(NIC{})},
		{"unmanaged tap", in("<interface type='ethernet'><target dev='tap0' managed='no'/></interface>"),
			nic(NIC{Type: "ethernet", Target: "tap0", Unmanaged: true})},
		{"managed tap", in("<interface type='ethernet'><target dev='tap0' managed='yes'/></interface>"),
			nic(NIC{Type: "ethernet", Target: "tap0"})},
		{"openvswitch", in("<interface type='bridge'><virtualport type='openvswitch'><parameters interfaceid='x'/></virtualport></interface>"),
			nic(NIC{Type: "bridge", VirtualPort: "openvswitch"})},
		{"dev of another type is no lower device", in("<interface type='udp'><source dev='eth0'/></interface>"),
			nic(NIC{Type: "udp"})},
		{"vdpa", in("<interface type='vdpa'><source dev='/dev/vhost-vdpa-0'/></interface>"),
			nic(NIC{Type: "vdpa", Dev: "/dev/vhost-vdpa-0"})},
		{"vhostuser", in("<interface type='vhostuser'><source type='unix' path='/run/vhost1.sock' mode='client'/></interface>"),
			nic(NIC{Type: "vhostuser", Socket: "/run/vhost1.sock"})},
		{"path of another type is no socket", in("<interface type='bridge'><source type='unix' path='/run/x'/></interface>"),
			nic(NIC{Type: "bridge"})},
		{"hostdev, the address of its source", in(`<interface type='hostdev' managed='yes'><driver name='vfio'/><source>
				<x:address xmlns:x='u' type='pci' bus='9'/><y><address type='pci' bus='8'/></y>
				<address type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'/><address type='pci' bus='7'/>
			</source><source><address type='pci' bus='6'/></source><address type='pci' bus='5'/></interface>`),
			nic(NIC{Type: "hostdev", Address: "0000:03:10.2"})},
		{"hostdev without a source", in("<interface type='hostdev'><address type='pci' bus='5'/></interface>"),
			nic(NIC{Type: "hostdev"})},
		{"address in the source of another type", in("<interface type='bridge'><source><address type='pci' bus='5'/></source></interface>"),
			nic(NIC{Type: "bridge"})},
		{"PCI devices", in(`<hostdev mode='subsystem' type='pci' managed='yes'><source><address domain='0x0001' bus='0xAF' slot='0x1f' function='0x7'/></source>
				<address type='pci' bus='5'/></hostdev>
			<hostdev type='pci'><source/><source><address bus='4'/></source></hostdev>
			<hostdev type='pci'><source><address bus='3'/></source></hostdev>
			<hostdev mode='subsystem' type='pci'><source><address bus='0x100'/></source></hostdev>
			<hostdev mode='subsystem' type='usb'><source><address bus='2' device='3'/></source></hostdev>
			<hostdev mode='capabilities' type='pci'><source><address bus='2'/></source></hostdev>
			<x:hostdev xmlns:x='u' type='pci'><source><address bus='2'/></source></x:hostdev>
			<y><hostdev type='pci'><source><address bus='2'/></source></hostdev></y>`),
			Domain{Hostdevs: []Hostdev{{"0001:af:1f.7"}, {"0000:03:00.0"}}}},
		{"passt", in("<interface type='user'><backend type='passt'/><source dev='eth0'/><mtu size='1400'/></interface>"),
			nic(NIC{Type: "user", MTU: 1400})},
		{"mtu lowest", in("<interface><mtu size='68'/></interface>"), nic(NIC{MTU: 68})},
		{"mtu highest", in("<interface><mtu size='65535'/></interface>"), nic(NIC{MTU: 65535})},
		{"mtu zero", in("<interface><mtu size='0'/></interface>"), nic(NIC{})},
		{"mtu empty", in("<interface><mtu size=''/></interface>"), nic(NIC{})},
		{"mtu without size", in("<interface><mtu/></interface>"), nic(NIC{})},
		{"the first of each child", in("<interface><model type='a'/><model type='b'/><source bridge='c'/><source bridge='d' network='e'/></interface>"),
			nic(NIC{Model: "a", Bridge: "c"})},
		{"nothing foreign", string(readFile(t, "foreign.in.xml")), Domain{
			Name:     "a",
			NICs:     []NIC{{Type: "network", Network: "default"}, {Type: "hostdev", MAC: "52:54:00:00:00:02", Model: "virtio", Address: "0000:06:02.0"}},
			Hostdevs: []Hostdev{{"0000:06:02.0"}},
			Metadata: map[string]Element{"urn:virt-mtu:test:1": {
				Name:  xml.Name{Space: "urn:virt-mtu:test:1", Local: "interface"},
				Attrs: []xml.Attr{{Name: xml.Name{Local: "type"}, Value: "bridge"}},
				Children: []Element{{
					Name:  xml.Name{Space: "urn:virt-mtu:test:1", Local: "mtu"},
					Attrs: []xml.Attr{{Name: xml.Name{Local: "size"}, Value: "1"}},
				}},
			}},
		}},
		{"metadata, the first of a namespace", `<domain><metadata>
			<a xmlns="urn:virt-mtu:x"/><b xmlns="urn:virt-mtu:x"><c/></b><d xmlns="urn:virt-mtu"/>text
			</metadata><metadata><e xmlns="urn:virt-mtu:y"/></metadata></domain>`,
			Domain{Metadata: map[string]Element{"urn:virt-mtu:x": {Name: xml.Name{Space: "urn:virt-mtu:x", Local: "a"}}}}},
		{"metadata, a sibling after children", `<domain><metadata><v:a xmlns:v="urn:virt-mtu:x"><v:b><v:c/></v:b><v:d/></v:a></metadata></domain>`,
			Domain{Metadata: map[string]Element{"urn:virt-mtu:x": {
				Name: xml.Name{Space: "urn:virt-mtu:x", Local: "a"},
				Children: []Element{
					{Name: xml.Name{Space: "urn:virt-mtu:x", Local: "b"}, Children: []Element{{Name: xml.Name{Space: "urn:virt-mtu:x", Local: "c"}}}},
					{Name: xml.Name{Space: "urn:virt-mtu:x", Local: "d"}},
				},
			}}}},
		{"nested to the limit", strings.Repeat("<domain>", 256) + strings.Repeat("</domain>", 256), Domain{}},
		{"surrogate reference in CDATA and comment is text", "<domain><!-- &#xd800; --><name><![CDATA[&#xd800;]]>&#97;</name></domain>", Domain{Name: "&#xd800;a"}},
		{"replacement character", "<domain><name>&#xfffd;\ufffd</name></domain>", Domain{Name: "\ufffd\ufffd"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := mustParse(t, []byte(tt.xml))
			if diff := cmp.Diff(tt.want, got.Domain); diff != "" {
				t.Errorf("Parse (-want +got):\n%s", diff)
			}
			checkSplice(t, []byte(tt.xml))
		})
	}
}

func TestParseErrors(t *testing.T) {
	in := func(nic string) string {
		return "<domain><devices>\n<interface/>\n<interface>" + nic + "</interface>\n</devices></domain>"
	}
	const mac = "<mac address='52:54:00:00:00:01'/>"
	wide := "<domain"
	for i := range 100 {
		wide += fmt.Sprintf(" a%d=''", i)
	}
	tests := []struct {
		name, xml, want string
		notDomain       bool
	}{
		{"nothing", "", "not a libvirt <domain>: there is no element in the document", true},
		{"blanks", " \n", "not a libvirt <domain>: there is no element in the document", true},
		{"comment only", "<!-- -->", "not a libvirt <domain>: there is no element in the document", true},
		{"network", "<network><name>x</name></network>", "not a libvirt <domain>: this is a <network>, not a <domain>", true},
		{"snapshot", "<domainsnapshot><domain/></domainsnapshot>", "not a libvirt <domain>: this is a <domainsnapshot>, not a <domain>", true},
		{"status file", "<!-- -->\n<domstatus/>", "not a libvirt <domain>: this is a <domstatus>, not a <domain>", true},
		{"foreign domain", "<domain xmlns='urn:x'/>", `not a libvirt <domain>: this is a <domain> of namespace "urn:x", libvirt's has none`, true},
		{"prefixed domain", "<v:domain/>", `not a libvirt <domain>: this is a <domain> of namespace "v", libvirt's has none`, true},
		{"long name", "<" + strings.Repeat("a", 100) + "/>",
			"not a libvirt <domain>: this is a <" + strings.Repeat("a", 64) + "...>, not a <domain>", true},
		{"too large", "<domain>" + strings.Repeat(" ", MaxSize), "the document is larger than 4194304 bytes, which is more than libvirt itself takes", false},

		{"doctype", "<?xml version='1.0'?>\n<!DOCTYPE domain [<!ENTITY a 'b'>]>\n<domain/>", "line 2, column 1: a DOCTYPE is not accepted: take it out", false},
		{"two roots", "<domain/>\n<domain/>", "line 2, column 1: a second root element, <domain>: one <domain> is wanted", false},
		{"text after", "<domain/>\n rubbish", `line 2, column 2: text outside of the root element: "rubbish"`, false},
		{"text before", "rubbish<domain/>", `line 1, column 1: text outside of the root element: "rubbish"`, false},
		{"reference after", "<domain/>&#32;", `line 1, column 10: text outside of the root element: "&#32;"`, false},
		{"CDATA after", "<domain/><![CDATA[]]>", `line 1, column 10: text outside of the root element: "<![CDATA[]]>"`, false},
		{"second byte order mark", "\ufeff\ufeff<domain/>", `line 1, column 4: text outside of the root element: "\ufeff"`, false},
		{"cut off", "<domain><devices>\n<interface>", "line 2, column 12: the document ends within <interface>", false},
		{"wrong end", "<domain>\n</devices>", "line 2, column 1: element <domain> closed by </devices>", false},
		{"end too many", "<domain/></domain>", "line 1, column 10: unexpected end element </domain>", false},
		{"ampersand", "<domain><name>a & b</name></domain>", "line 1, column 18: invalid character entity & (no semicolon)", false},
		{"entity unknown", "<domain>&nbsp;</domain>", "line 1, column 15: invalid character entity &nbsp;", false},
		{"attribute without value", "<domain a/>", "line 1, column 11: attribute name without = in element", false},
		{"nested too deep", strings.Repeat("<domain>", 257) + strings.Repeat("</domain>", 257), "line 1, column 2049: more than 256 elements within each other", false},

		{"attribute twice", "<domain>\n<a b='' b=''/></domain>", `line 2, column 1: attribute "b" stands twice in one element`, false},
		{"attribute twice under one namespace", "<domain xmlns:a='u' xmlns:b='u' a:c='' b:c=''/>", `line 1, column 1: attribute "c" stands twice in one element`, false},
		{"namespace twice", "<domain xmlns:a='u' xmlns:a='v'/>", `line 1, column 1: attribute "a" stands twice in one element`, false},
		{"attribute twice among many", wide + " a7=''/>", `line 1, column 1: attribute "a7" stands twice in one element`, false},
		{"attributes without space", "<domain a='1'b='2'/>", "line 1, column 1: no space between two attributes", false},
		{"prefix bound to nothing", "<domain xmlns:v=''><v:devices/></domain>", `line 1, column 1: namespace prefix "v" is bound to nothing`, false},

		{"latin-1 declared", "<?xml version='1.0' encoding='ISO-8859-1'?>\n<domain/>", `line 1, column 1: encoding "ISO-8859-1" is not supported: convert the document to UTF-8`, false},
		{"latin-1", "<domain>\n<name>\xfcber</name></domain>", "line 2, column 7: byte 0xfc is not UTF-8: convert the document to UTF-8", false},
		{"utf-16", "\xff\xfe<\x00d\x00", "line 1, column 1: byte 0xff is not UTF-8: convert the document to UTF-8", false},
		{"control character", "<domain><!-- \x01 --></domain>", "line 1, column 14: control character 0x01 is not allowed in XML", false},
		{"control character reference", "<domain>&#1;</domain>", "line 1, column 13: illegal character code U+0001", false},
		{"no character", "<domain><!-- \uffff --></domain>", "line 1, column 14: character U+FFFF is not allowed in XML", false},
		{"surrogate in text", "<domain><name>a&#xDFFF;</name></domain>", "line 1, column 16: a character reference to a surrogate is not allowed in XML", false},
		{"surrogate in an attribute", "<domain a='&#97;&#55296;'/>", "line 1, column 17: a character reference to a surrogate is not allowed in XML", false},
		{"xml 1.1", "<?xml version='1.1'?><domain/>", `line 1, column 1: XML version "1.1" is not supported: only 1.0 is`, false},
		{"declaration without version", "<?xml encoding='utf-8'?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration empty", "<?xml?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration in disorder", "<?xml version='1.0' standalone='yes' encoding='utf-8'?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration without space", "<?xml version='1.0'encoding='utf-8'?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration with more", "<?xml version='1.0' x='y'?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration, standalone what", "<?xml version='1.0' standalone='x'?><domain/>", "line 1, column 1: malformed XML declaration", false},
		{"declaration too late", "\n<?xml version='1.0'?><domain/>", "line 2, column 1: an XML declaration is allowed at the very start only", false},
		{"declaration in capitals", "<?XML version='1.0'?><domain/>", "line 1, column 1: an XML declaration is allowed at the very start only", false},
		{"processing instruction without space", "<?a=b?><domain/>", "line 1, column 1: no space after the name of a processing instruction", false},

		{"uuid with a path", "<domain>\n<uuid>../../x</uuid></domain>", `line 2, column 14: uuid "../../x" is malformed: it takes 32 hexadecimal digits`, false},
		{"mac malformed", in("<mac address='52:54:00:00:00'/>"), `line 3, column 12: interface 2: mac address "52:54:00:00:00" is malformed: it takes six octets as in 52:54:00:12:34:56`, false},
		{"mac as another notation", in("<mac address='5254.0000.0001'/>"), `line 3, column 12: interface 2: mac address "5254.0000.0001" is malformed: it takes six octets as in 52:54:00:12:34:56`, false},
		{"two mtus", in("<mtu size='9000'/>\n<mtu size='9000'/>" + mac), "line 4, column 1: interface 2 (52:54:00:00:00:01): a second <mtu>: leave one of them", false},
		{"two empty mtus", in("<mtu/><mtu/>"), "line 3, column 18: interface 2 (no mac address): a second <mtu>: leave one of them", false},
		{"metadata with a colon", "<domain><metadata><:a xmlns='urn:virt-mtu:x'/></metadata></domain>", `line 1, column 19: element name ":a" in urn:virt-mtu: metadata starts or ends with a colon`, false},
		{"metadata too deep", "<domain><metadata>" + strings.Repeat("<a xmlns='urn:virt-mtu:x'>", 17), "line 1, column 435: more than 16 elements of urn:virt-mtu: metadata within each other", false},
	}
	for _, size := range []string{"1", "67", "65536", "70000", "-1", "+9000", "9000.0", "9k", " 9000", "0x2328", "1_500", "٩٠٠٠", "18446744073709551616"} {
		tests = append(tests, struct {
			name, xml, want string
			notDomain       bool
		}{"mtu " + size, in("<mtu size='" + size + "'/>" + mac),
			fmt.Sprintf("line 3, column 12: interface 2 (52:54:00:00:00:01): mtu size %q is not valid: give 68 to 65535 bytes, or take the <mtu> out", size), false})
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			doc, err := Parse([]byte(tt.xml))
			if err == nil {
				t.Fatalf("Parse took it: %+v", doc.Domain)
			}
			if diff := cmp.Diff(tt.want, err.Error()); diff != "" {
				t.Errorf("error (-want +got):\n%s", diff)
			}
			if got := errors.Is(err, ErrNotDomain); got != tt.notDomain {
				t.Errorf("errors.Is(err, ErrNotDomain) = %t", got)
			}
			var placed *Error
			if got, want := errors.As(err, &placed), strings.HasPrefix(tt.want, "line "); got != want {
				t.Errorf("errors.As(err, *Error) = %t", got)
			}
		})
	}
}

// TestParseHuge: the largest documents, made to hurt, take time in proportion.
func TestParseHuge(t *testing.T) {
	fill := func(head, piece string) []byte {
		return append([]byte(head), bytes.Repeat([]byte(piece), (MaxSize-len(head))/len(piece))...)
	}
	var attrs strings.Builder
	attrs.WriteString("<domain")
	for i := 0; attrs.Len() < MaxSize-32; i++ {
		fmt.Fprintf(&attrs, " a%d=''", i)
	}
	attrs.WriteString("/>")
	for name, src := range map[string][]byte{
		"nesting":    fill("", "<domain>"),
		"metadata":   fill("<domain><metadata>", "<a xmlns='urn:virt-mtu:x'>"),
		"interfaces": fill("<domain><devices>", "<interface><mtu/></interface>"),
		"entities":   fill("<domain>", "&#97;"),
		"attributes": []byte(attrs.String()),
		"quotes":     fill("<domain><devices><interface><mtu", " a=''"),
		"comments":   fill("<domain>", "<!-->-->"),
	} {
		t.Run(name, func(t *testing.T) {
			start := time.Now()
			doc, err := Parse(src)
			// A second on an idle machine; what is not linear takes hours.
			if took := time.Since(start); took > 2*time.Minute {
				t.Errorf("Parse took %v for %d bytes", took, len(src))
			}
			if (err == nil) != (name == "attributes") {
				t.Errorf("Parse = %v, %v", doc, err)
			}
		})
	}
}

func TestParseUUID(t *testing.T) {
	const canonical = "6695eb01-f6a4-8304-79aa-97f2502e1933"
	for _, tt := range []struct {
		in string
		ok bool
	}{
		{canonical, true},
		{"6695EB01-F6A4-8304-79AA-97F2502E1933", true},
		{"6695eb01f6a4830479aa97f2502e1933", true},
		{"-66-95-eb01f6a4--830479aa97f2502e1933", true},
		{"", false},
		{"-", false},
		{"../../x", false},
		{canonical[1:], false},
		{canonical + "-", false},
		{canonical + "0", false},
		{canonical + "00", false},
		{canonical + "\n", false},
		{" " + canonical, false},
		{"6-695eb01f6a4830479aa97f2502e1933", false},
		{"6695eb01-f6a4-8304-79aa-97f2502e193g", false},
		{"6695eb01-f6a4-8304-79aa-97f2502e193\x00", false},
		{"6695eb01/f6a4/8304/79aa/97f2502e1933", false},
		{"{" + canonical + "}", false},
	} {
		got, err := ParseUUID(tt.in)
		if want := map[bool]string{true: canonical}[tt.ok]; got != want || (err == nil) != tt.ok {
			t.Errorf("ParseUUID(%q) = %q, %v", tt.in, got, err)
		}
	}
}

func TestParseMAC(t *testing.T) {
	for in, want := range map[string]string{
		"52:54:00:ab:cd:ef":    "52:54:00:ab:cd:ef",
		"52:54:00:AB:CD:EF":    "52:54:00:ab:cd:ef",
		"2:4:0:B:d:F":          "02:04:00:0b:0d:0f",
		"52-54-00-ab-cd-ef":    "",
		"525400abcdef":         "",
		"52:54:00:ab:cd":       "",
		"52:54:00:ab:cd:":      "",
		":52:54:00:ab:cd":      "",
		"52:54:00:ab:cd:ef:":   "",
		"52:54:00:ab:cd:ef:01": "",
		"52:54:00:ab:cd:eg":    "",
		"52:54:00:ab:cd:0ef":   "",
		" 52:54:00:ab:cd:ef":   "",
		"52:54:00:ab:cd:ef ":   "",
		"52:54:00:ab:cd:\x10f": "",
		"0x:54:00:ab:cd:ef":    "",
		"+1:54:00:ab:cd:ef":    "",
	} {
		if got, ok := parseMAC(in); got != want || ok != (want != "") {
			t.Errorf("parseMAC(%q) = %q, %t", in, got, ok)
		}
	}
}

func TestPCIAddress(t *testing.T) {
	for in, want := range map[string]string{
		"type='pci' domain='0x0000' bus='0x03' slot='0x10' function='0x2'": "0000:03:10.2",
		"domain='0x10000' bus='0XA' slot='010' function='07'":              "10000:0a:08.7", // as strtoul reads them
		"domain='0xffffffff'":        "ffffffff:00:00.0",
		"bus='255' slot='31'":        "0000:ff:1f.0",
		"slot='1'":                   "0000:00:01.0",
		"function='1'":               "", // to libvirt no address
		"":                           "",
		"type='usb' bus='1'":         "",
		"domain='0x100000000'":       "",
		"bus='256'":                  "",
		"slot='0x20'":                "",
		"slot='1' function='8'":      "",
		"bus='1' slot=''":            "",
		"bus='0x'":                   "",
		"bus='0b1'":                  "",
		"bus='0o1'":                  "",
		"bus='08'":                   "",
		"bus='0x_1'":                 "",
		"bus='+1'":                   "",
		"bus='-1'":                   "",
		"bus='1' function='1.5'":     "",
		"bus='1' slot='../../etc'":   "",
		"bus='99999999999999999999'": "",
	} {
		doc := mustParse(t, []byte("<domain><devices><interface type='hostdev'><source><address "+in+"/></source></interface></devices></domain>"))
		if got := doc.NICs[0].Address; got != want {
			t.Errorf("<address %s/>: %q, want %q", in, got, want)
		}
	}
}

// BenchmarkParse is the hook's share: 12 KB of live XML with four NICs.
func BenchmarkParse(b *testing.B) {
	src := readFile(b, "libvirt-live.in.xml")
	b.ReportAllocs()
	b.SetBytes(int64(len(src)))
	for b.Loop() {
		if _, err := Parse(src); err != nil {
			b.Fatal(err)
		}
	}
}
