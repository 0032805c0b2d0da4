package domxml

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const ownedURI = "urn:virt-mtu:owned:1"

// ownedNode is one as it is put in, and another.
const (
	ownedNode = "<o:network xmlns:o='" + ownedURI + "' before='0' set='9000'/>"
	otherNode = "<o:network xmlns:o='" + ownedURI + "' before='0' set='4000'/>"
)

const libvirtNetwork = `<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0' connections='1'>
  <name>lan</name>
  <uuid>2BFE23F5-e49f-422e-993d-4246f95154eb</uuid>
  <forward mode='open'/>
  <bridge name='virbr7' stp='on' delay='0'/>
  <mac address='52:54:00:bf:cb:b7'/>
  <ip address='10.9.0.1' netmask='255.255.255.0'/>
</network>
`

func TestNetworkSplice(t *testing.T) {
	in := libvirtNetwork
	put := func(after, text string) string { return strings.Replace(in, after, after+text, 1) }
	record := "\n  <metadata>\n    " + ownedNode + "\n  </metadata>"
	uuid, bridge := "54eb</uuid>", "delay='0'/>"
	for _, tt := range []struct {
		name, in string
		mtu      int
		node     string
		want     string
	}{
		{"both go in", in, 9000, ownedNode, strings.Replace(put(uuid, record), bridge, bridge+"\n  <mtu size='9000'/>", 1)},
		{"the number alone", in, 9000, "", put(bridge, "\n  <mtu size='9000'/>")},
		{"another number", put(bridge, "\n  <mtu  size = \"1400\"></mtu>"), 9000, "", put(bridge, "\n  <mtu  size = \"9000\"></mtu>")},
		{"one without a size", put(bridge, "<mtu/>"), 9000, "", put(bridge, "<mtu size='9000'/>")},
		{"one of another namespace is none", put(bridge, "<x:mtu xmlns:x='u' size='1'/>"), 9000, "", put(bridge, "<mtu size='9000'/><x:mtu xmlns:x='u' size='1'/>")},
		{"one further in is none", put(bridge, "<dns><mtu size='1'/></dns>"), 0, "", put(bridge, "<dns><mtu size='1'/></dns>")},
		{"out of bounds", in, 67, "", in},
		{"beside others' metadata", put(uuid, "\n  <metadata>\n    <x:y xmlns:x='u'>text</x:y><!-- c -->\n  </metadata>"), 0, ownedNode,
			put(uuid, "\n  <metadata>\n    "+ownedNode+"\n    <x:y xmlns:x='u'>text</x:y><!-- c -->\n  </metadata>")},
		{"out of others' metadata", put(uuid, "\n  <metadata>\n    <x:y xmlns:x='u'>text</x:y>\n    "+ownedNode+"\n  </metadata>"), 0, "",
			put(uuid, "\n  <metadata>\n    <x:y xmlns:x='u'>text</x:y>\n  </metadata>")},
		{"a comment keeps the metadata", put(uuid, "<metadata><!-- c -->"+ownedNode+"</metadata>"), 0, "", put(uuid, "<metadata><!-- c --></metadata>")},
		{"an attribute too", put(uuid, "<metadata a=''>"+ownedNode+"</metadata>"), 0, "", put(uuid, "<metadata a=''></metadata>")},
		{"replaced", put(uuid, "<metadata>"+otherNode+"</metadata>"), 0, ownedNode, put(uuid, "<metadata>"+ownedNode+"</metadata>")},
		{"into an empty one", put(uuid, "<metadata/>"), 0, ownedNode, put(uuid, "<metadata>"+ownedNode+"</metadata>")},
		{"a second <metadata> is nobody's", put(uuid, "<metadata/><metadata>"+otherNode+"</metadata>"), 0, ownedNode,
			put(uuid, "<metadata>"+ownedNode+"</metadata><metadata>"+otherNode+"</metadata>")},
		{"all in one line", "<network><name>a</name></network>", 9000, ownedNode, "<network><name>a</name><metadata>" + ownedNode + "</metadata><mtu size='9000'/></network>"},
		{"tabs and CRLF", "<network>\r\n\t<name>a</name>\r\n</network>", 9000, ownedNode,
			"<network>\r\n\t<name>a</name>\r\n\t<metadata>\r\n\t\t" + ownedNode + "\r\n\t</metadata>\r\n\t<mtu size='9000'/>\r\n</network>"},
	} {
		doc := mustNetwork(t, []byte(tt.in))
		if d := cmp.Diff(tt.want, string(doc.Splice(tt.mtu, tt.node))); d != "" {
			t.Errorf("%s: want-, got+:\n%s", tt.name, d)
		}
		checkNetwork(t, []byte(tt.in))
	}
	doc := mustNetwork(t, []byte(put(uuid, record)))
	want := Network{Name: "lan", UUID: "2bfe23f5-e49f-422e-993d-4246f95154eb", Metadata: doc.Metadata}
	if d := cmp.Diff(want, doc.Network); d != "" || len(doc.Metadata[ownedURI].Attrs) != 2 {
		t.Errorf("%v\n%s", doc.Metadata, d)
	}
}

func TestNetworkRefuses(t *testing.T) {
	for _, tt := range []struct{ src, why string }{
		{"<domain/>", "this is a <domain>, not a <network>"},
		{"<networkstatus><network/></networkstatus>", "not a <network>"},
		{"<x:network xmlns:x='u'/>", "of namespace \"u\""},
		{"<network xmlns='u'/>", "of namespace \"u\""},
		{"", "there is no element"},
		{"<network/>", "no <name>"},
		{"<network><name>a</name></network><network/>", "a second root element, <network>: one <network> is wanted"},
		{"<network><name>a</name><mtu size='9000'/><mtu/></network>", `network "a": a second <mtu>`},
		{"<network><name>a</name><mtu size='10'/></network>", `network "a": mtu size "10" is not valid`},
		{"<network><name>a</name><mtu size='-1'/></network>", "is not valid"},
		{"<network><name>a</name><metadata>" + ownedNode + ownedNode + "</metadata></network>", "a second node of namespace"},
		{"<!DOCTYPE network><network><name>a</name></network>", "DOCTYPE"},
	} {
		_, err := ParseNetwork([]byte(tt.src), ownedURI)
		if err == nil || !strings.Contains(err.Error(), tt.why) {
			t.Errorf("%s: %v", tt.src, err)
		}
		other := strings.Contains(tt.why, "not a <network>") || strings.Contains(tt.why, "namespace \"u\"") || tt.src == ""
		if errors.Is(err, ErrNotNetwork) != other {
			t.Errorf("%s: ErrNotNetwork: %v", tt.src, !other)
		}
	}
	if _, err := Parse([]byte(libvirtNetwork)); !errors.Is(err, ErrNotDomain) {
		t.Errorf("a network for a domain: %v", err)
	}
}

// FuzzNetwork: whatever comes in, ParseNetwork refuses it or Splice keeps its promises.
func FuzzNetwork(f *testing.F) {
	f.Add([]byte(libvirtNetwork))
	f.Add([]byte("<network><name>a</name><metadata>" + otherNode + "</metadata><mtu size='1400'/></network>"))
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := ParseNetwork(src, ownedURI); err == nil {
			checkNetwork(t, src)
		}
	})
}

// networkLayout is what may lie side by side within a <network>.
var networkLayout = []string{
	"\n", "\r\n", "\r", "\n  ", "\n\t", " ", "text", "&#10;", "<![CDATA[\n]]>", "<!-- -->", "<!--\n-->", "<?pi\n?>",
	"<name>a</name>", "<uuid/>", "<forward/>", "<bridge/>", "<bridge>\n</bridge>", "<x><mtu size='1'/></x>", "<y:mtu xmlns:y='u'/>",
	"<mtu/>", "<mtu size='1500'/>", "<mtu\nsize = \"0\" />", "<mtu size=''></mtu>", "<mtu size='9000'>\n</mtu\n>",
	"<metadata/>", "<metadata>", "</metadata>", ownedNode, "<o:x xmlns:o='" + ownedURI + "'>\n</o:x>", "<x:y xmlns:x='u'/>",
}

// FuzzNetworkLayout reaches well-formed documents: each byte puts the next piece down.
func FuzzNetworkLayout(f *testing.F) {
	for i := range networkLayout {
		f.Add([]byte{12, 3, byte(i), 3})
		f.Add([]byte{12, 3, 25, 3, byte(i), 3, 26, 3})
	}
	f.Fuzz(func(t *testing.T, pieces []byte) {
		var b strings.Builder
		b.WriteString("<network>")
		for _, p := range pieces {
			b.WriteString(networkLayout[int(p)%len(networkLayout)])
		}
		b.WriteString("</network>")
		if _, err := ParseNetwork([]byte(b.String()), ownedURI); err == nil {
			checkNetwork(t, []byte(b.String()))
		}
	})
}

// checkNetwork holds Splice to its promises on any document that ParseNetwork accepts.
func checkNetwork(t *testing.T, src []byte) {
	t.Helper()
	doc := mustNetwork(t, src)
	if got := doc.Splice(doc.MTU, string(doc.node())); !bytes.Equal(src, got) {
		t.Fatalf("what is there already is not left alone:\n%q\n%q", src, got)
	}
	for _, mtu := range []int{0, 9000, MaxMTU} {
		for _, node := range []string{"", ownedNode} {
			out := doc.Splice(mtu, node)
			after := mustNetwork(t, out)
			want := doc.Network
			want.MTU, want.Metadata = mtu, after.Metadata
			if d := cmp.Diff(want, after.Network); d != "" {
				t.Fatalf("to %d (want-, got+):\n%s\n%q", mtu, d, out)
			}
			if got := string(after.node()); got != node {
				t.Fatalf("node %q, want %q\n%q", got, node, out)
			}
			if twice := after.Splice(mtu, node); !bytes.Equal(out, twice) {
				t.Fatalf("twice: %q, then %q", out, twice)
			}
			// Without both, and the white space that goes with them, all is as it was.
			if a, b := doc.rest(), after.rest(); a != b {
				t.Fatalf("to %d, %q: the rest was %q, is %q\n%q\n%q", mtu, node, a, b, src, out)
			}
			if doc.mtu.element == (span{}) && doc.meta.element == (span{}) {
				if back := after.Splice(0, ""); !bytes.Equal(src, back) {
					t.Fatalf("to %d and back:\n%q\n%q", mtu, src, back)
				}
			}
		}
	}
}

// node is the one of the namespace as it stands there.
func (d *NetworkDocument) node() []byte { return d.src[d.meta.node.start:d.meta.node.end] }

// rest is the document without its <mtu>, its node, a <metadata> that has nothing else in
// it, and white space.
func (d *NetworkDocument) rest() string {
	src := string(d.src)
	cut := func(s span) { src = src[:s.start] + strings.Repeat(" ", s.end-s.start) + src[s.end:] }
	cut(d.mtu.element)
	cut(d.meta.node)
	if d.meta.plain && strings.TrimSpace(src[d.meta.open:max(d.meta.open, d.meta.close)]) == "" {
		cut(d.meta.element)
	}
	if d.meta.closed && d.meta.plain {
		cut(d.meta.element)
	} else if d.meta.closed {
		// The same but for its end: <metadata a=''/> and <metadata a=''></metadata>
		src = src[:d.meta.open-2] + "></metadata>" + src[d.meta.open:]
	}
	return strings.Join(strings.FieldsFunc(src, func(r rune) bool { return strings.ContainsRune(" \t\r\n", r) }), "")
}

func mustNetwork(t testing.TB, src []byte) *NetworkDocument {
	t.Helper()
	doc, err := ParseNetwork(src, ownedURI)
	if err != nil {
		t.Fatalf("ParseNetwork: %v\n%s", err, src)
	}
	return doc
}
