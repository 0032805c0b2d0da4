package domxml

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// secret stands in testdata/excerpt.xml wherever something could leak.
const secret = "geheim"

func TestExcerpt(t *testing.T) {
	doc := mustParse(t, readFile(t, "excerpt.xml"))
	got := doc.Excerpt()
	golden := filepath.Join("testdata", "excerpt.golden.xml")
	if *update {
		if err := os.WriteFile(golden, got, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(string(readFile(t, "excerpt.golden.xml")), string(got)); diff != "" {
		t.Errorf("Excerpt (-want +got):\n%s", diff)
	}
	if n := strings.Count(string(doc.Bytes()), secret); n < 15 || bytes.Contains(got, []byte(secret)) {
		t.Errorf("%d secrets in the document, in the excerpt %v", n, bytes.Contains(got, []byte(secret)))
	}
	checkExcerpt(t, doc.Bytes())
}

// TestExcerptKeeps: whatever Parse reads is in it.
func TestExcerptKeeps(t *testing.T) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no documents in testdata: %v", err)
	}
	for _, f := range files {
		checkExcerpt(t, readFile(t, filepath.Base(f)))
	}
	for _, src := range awkward {
		checkExcerpt(t, []byte(src))
	}
}

// awkward is what escapes, namespaces and white space could go wrong with.
var awkward = []string{
	"<domain/>",
	"<domain><name> a&#13;\n\t&lt;&amp;'\"]]&gt;\u00fc </name></domain>",
	"<domain><devices><interface type=' a&#10;&#9;'><source bridge=\"a'b&quot;\" network='&lt;x/>'/><target managed='no'/></interface></devices></domain>",
	"<domain><devices><interface type='vhostuser'><source type='unix' path=\"a'/>\" bridge='b'/></interface></devices></domain>",
	"<domain><devices><interface type='hostdev'><source network='n'><address type='pci' domain='0xfffff' bus='1' slot='2' function='3'/></source></interface></devices></domain>",
	"<domain xmlns:v='urn:virt-mtu:x'><metadata><v:a xmlns:v0='v' v0:b='' v:b='1' b='2' xml:lang='de' undeclared:c='' xmlns:d='xmlns' d:e='3'>text" +
		"<b/><undeclared:b/><v0:b/><xml:b/><xmlns:b/><b xmlns='urn:virt-mtu:y'><b xmlns=''/></b><v:xmlns v:xmlns='' :x='' x:='' xmlns:=''/></v:a></metadata></domain>",
	"<domain><metadata><a xmlns='urn:virt-mtu:&lt;&apos;&quot;&#10;'/><a xmlns='urn:virt-mtu:'/></metadata></domain>",
}

// FuzzExcerpt: whatever comes in, Parse refuses it or Excerpt keeps all of the Domain,
// and is an excerpt of itself.
func FuzzExcerpt(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	for _, name := range files {
		f.Add(readFile(f, filepath.Base(name)))
	}
	for _, src := range awkward {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := Parse(src); err != nil {
			return
		}
		checkExcerpt(t, src)
	})
}

// checkExcerpt holds Excerpt to its promises on a document that Parse accepts.
func checkExcerpt(t *testing.T, src []byte) {
	t.Helper()
	doc := mustParse(t, src)
	out := doc.Excerpt()
	after, err := Parse(out)
	if err != nil {
		t.Fatalf("Excerpt made what Parse refuses: %v\n%s\nof\n%s", err, out, src)
	}
	if diff := cmp.Diff(doc.Domain, after.Domain); diff != "" {
		t.Fatalf("Excerpt is another domain (-want +got):\n%s\n%s\nof\n%s", diff, out, src)
	}
	if twice := after.Excerpt(); !bytes.Equal(out, twice) {
		t.Fatalf("Excerpt of an excerpt:\n%s\nthen\n%s", out, twice)
	}
	checkOnlyKnown(t, out)
}

// checkOnlyKnown: outside of our own metadata an excerpt has the elements and attributes
// that Parse reads, and neither comments nor text elsewhere than in two of them.
func checkOnlyKnown(t *testing.T, out []byte) {
	t.Helper()
	known := map[string]string{
		"domain": "", "name": "", "uuid": "", "metadata": "", "devices": "", "interface": "type", "hostdev": "mode type",
		"mac": "address", "source": "network bridge dev type path", "address": "type domain bus slot function",
		"virtualport": "type", "target": "dev managed", "model": "type", "mtu": "size",
	}
	d := xml.NewDecoder(bytes.NewReader(out))
	var open []string
	for {
		token, err := d.RawToken()
		if err != nil {
			return // Parse has read it: its end
		}
		within := strings.Join(open, "/")
		switch x := token.(type) {
		case xml.StartElement:
			open = append(open, x.Name.Local)
			if strings.HasPrefix(within, "domain/metadata") {
				continue
			}
			attrs, ok := known[x.Name.Local]
			for _, a := range x.Attr {
				ok = ok && a.Name.Space == "" && strings.Contains(" "+attrs+" ", " "+a.Name.Local+" ")
			}
			if !ok || x.Name.Space != "" {
				t.Fatalf("%s has %v in it:\n%s", within, x, out)
			}
		case xml.EndElement:
			open = open[:len(open)-1]
		case xml.CharData:
			if text := strings.TrimSpace(string(x)); text != "" && within != "domain/name" && within != "domain/uuid" {
				t.Fatalf("%s has text %q in it:\n%s", within, text, out)
			}
		default:
			t.Fatalf("%s has %#v in it:\n%s", within, token, out)
		}
	}
}

// TestExcerptHuge: hostile metadata makes it neither large nor slow.
func TestExcerptHuge(t *testing.T) {
	long := strings.Repeat("u", 1<<20)
	for name, src := range map[string]string{
		"one long namespace": "<domain><metadata><v:a xmlns:v='urn:virt-mtu:x' xmlns:l='" + long + "'>" +
			strings.Repeat("<l:b l:c=''/><v:d/>", 1<<16) + "</v:a></metadata></domain>",
		"many namespaces": "<domain><metadata><v:a xmlns:v='urn:virt-mtu:x'>" + numbered(1<<16, "<b xmlns='%d'/>") + "</v:a></metadata></domain>",
	} {
		doc := mustParse(t, []byte(src))
		begin := time.Now()
		out := doc.Excerpt()
		if took := time.Since(begin); len(out) > 3*len(src) || took > 5*time.Second {
			t.Errorf("%s: %d bytes became %d in %v", name, len(src), len(out), took)
		}
	}
}

func numbered(n int, format string) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, format, i)
	}
	return b.String()
}
