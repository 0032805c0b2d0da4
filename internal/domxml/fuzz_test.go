package domxml

import (
	"bytes"
	"encoding/xml"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// FuzzSplice: whatever comes in, Parse refuses it or Splice keeps its promises.
func FuzzSplice(f *testing.F) {
	files, err := filepath.Glob("testdata/*.xml")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds in testdata: %v", err)
	}
	for _, name := range files {
		f.Add(readFile(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := Parse(src); err != nil {
			return
		}
		checkSplice(t, src)
	})
}

// layout is what may lie side by side within an <interface>.
var layout = []string{
	"\n", "\r\n", "\r", "\n  ", "\n\t", " ", "\t", "text", "&#10;", "<![CDATA[\n]]>",
	"<!-- -->", "<!--\n-->", "<?pi\n?>", "<x:mtu size='1'/>", "<x><mtu size='1'/></x>",
	"<mac/>", "<source/>", "<target/>", "<model/>", "<model>\n</model>", "<alias/>",
	"<mtu/>", "<mtu size='1500'/>", "<mtu\nsize = \"0\" />", "<mtu size=''></mtu>", "<mtu size='9000'>\n</mtu\n>",
	"</interface>\n  <interface>", "</interface><interface/><interface>", "</interface><interface></interface ><interface >",
}

// FuzzLayout reaches well-formed documents where random bytes seldom get: each
// byte puts the next piece of layout down.
func FuzzLayout(f *testing.F) {
	for i := range layout {
		f.Add([]byte{byte(i)})
	}
	f.Fuzz(func(t *testing.T, pieces []byte) {
		var b strings.Builder
		b.WriteString("<domain><devices><interface>")
		for _, p := range pieces {
			b.WriteString(layout[int(p)%len(layout)])
		}
		b.WriteString("</interface></devices></domain>")
		src := []byte(b.String())
		if _, err := Parse(src); err != nil {
			if !strings.Contains(err.Error(), "second <mtu>") {
				t.Fatalf("Parse: %v\n%q", err, src)
			}
			return
		}
		checkSplice(t, src)
	})
}

// FuzzNesting: names and ends are taken as Decoder.Token takes them, which Parse does
// not call for its time.
func FuzzNesting(f *testing.F) {
	for _, src := range []string{
		"<domain xmlns='a' xmlns:b='c' b:x='1' x='2'><b:y xmlns:b='d' b:z=''/><b:y/><y xmlns=''/></domain>",
		"<a:domain xml:lang='de'><a:x xmlns:a='u'></a:x></a:domain>",
		"<domain><x></y></domain>", "<domain></a:domain>", "<domain>", "</domain>",
	} {
		f.Add([]byte(src))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		if _, err := Parse(src); err != nil {
			return
		}
		token, raw := xml.NewDecoder(bytes.NewReader(src)), xml.NewDecoder(bytes.NewReader(src))
		var p parser
		for {
			want, err := token.Token()
			got, rawErr := raw.RawToken()
			if err == io.EOF && rawErr == io.EOF {
				return
			}
			if err != nil || rawErr != nil {
				t.Fatalf("Parse accepts what Token does not: %v, %v\n%q", err, rawErr, src)
			}
			switch tok := got.(type) {
			case xml.StartElement:
				p.enter(&tok)
				if d := cmp.Diff(want, xml.Token(tok)); d != "" {
					t.Fatalf("want-, got+:\n%s\n%q", d, src)
				}
			case xml.EndElement:
				p.leave()
			}
		}
	})
}
