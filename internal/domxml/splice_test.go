package domxml

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "write testdata/*.out.xml anew")

// splices are the documents of testdata, NAME.in.xml before and NAME.out.xml after.
var splices = []struct {
	name string
	mtus map[int]int
}{
	{"libvirt-live", map[int]int{0: 9000, 1: 8950, 2: 1400}},
	{"one-line", map[int]int{0: 9000, 1: 0}},
	{"tabs", map[int]int{0: 9000, 1: 0}},
	{"crlf", map[int]int{0: 9000, 1: 0}},
	{"comments", map[int]int{0: 9000, 1: 0, 2: 0, 3: 0}},
	{"cdata", map[int]int{0: 9000}},
	{"sizes", map[int]int{0: 9000, 1: 9000, 2: 9000, 3: 9000, 4: 9000, 5: 9000, 6: 9000, 7: 9000, 8: 68, 9: 0}},
	{"entities", map[int]int{0: 9000}},
	{"declaration", map[int]int{0: 9000}},
	{"byte-order-mark", map[int]int{0: 9000}},
	{"foreign", map[int]int{0: 9000}},
	{"anchors", map[int]int{0: 9000, 1: 9000, 2: 9000, 3: 9000, 4: 9000, 5: 9000, 6: 9000, 7: 9000, 8: 9000, 9: 9000, 10: 9000, 11: 9000, 12: 9000, 13: 9000}},
	{"remove", map[int]int{0: 0, 1: 0, 2: 0, 3: 0, 4: 0, 5: 0, 6: 0, 7: 0, 8: 0}},
}

func TestSplice(t *testing.T) {
	for _, tt := range splices {
		t.Run(tt.name, func(t *testing.T) {
			in := readFile(t, tt.name+".in.xml")
			doc := mustParse(t, in)
			got := doc.Splice(tt.mtus)
			out := filepath.Join("testdata", tt.name+".out.xml")
			if *update {
				if err := os.WriteFile(out, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want := readFile(t, tt.name+".out.xml")
			if diff := cmp.Diff(string(want), string(got)); diff != "" {
				t.Errorf("Splice (-want +got):\n%s", diff)
			}
			if bytes.Equal(in, got) {
				t.Error("Splice changed nothing")
			}
			if !bytes.Equal(in, doc.Bytes()) {
				t.Error("Splice changed its input")
			}
			checkSplice(t, in)
		})
	}
}

// TestTestdata holds the table to the files: one that is in no row tests nothing.
func TestTestdata(t *testing.T) {
	files, err := filepath.Glob("testdata/*.in.xml")
	if err != nil {
		t.Fatal(err)
	}
	var inTable, onDisk []string
	for _, tt := range splices {
		inTable = append(inTable, tt.name)
	}
	for _, f := range files {
		onDisk = append(onDisk, strings.TrimSuffix(filepath.Base(f), ".in.xml"))
	}
	sorted := cmp.Transformer("set", func(names []string) map[string]bool {
		set := map[string]bool{}
		for _, n := range names {
			set[n] = true
		}
		return set
	})
	if diff := cmp.Diff(onDisk, inTable, sorted); diff != "" {
		t.Errorf("files and table differ (-files +table):\n%s", diff)
	}
}

// TestSplicePassesOver: what cannot be done changes nothing and stops nobody.
func TestSplicePassesOver(t *testing.T) {
	in := readFile(t, "tabs.in.xml")
	doc := mustParse(t, in)
	got := doc.Splice(map[int]int{-1: 9000, 2: 9000, 1 << 40: 0, 0: 67, 1: 65536})
	if diff := cmp.Diff(string(in), string(got)); diff != "" {
		t.Errorf("Splice (-want +got):\n%s", diff)
	}
	for _, mtu := range []int{-1, 1, 67, 65536, 1 << 40} {
		if got := doc.Splice(map[int]int{0: mtu, 1: mtu}); !bytes.Equal(in, got) {
			t.Errorf("Splice with MTU %d changed the document:\n%s", mtu, got)
		}
	}
	if got := doc.Splice(nil); !bytes.Equal(in, got) {
		t.Errorf("Splice(nil) changed the document:\n%s", got)
	}
	for _, i := range []int{-1, 2} {
		if got := doc.Interface(i, 9000); got != nil {
			t.Errorf("Interface(%d) = %q, want nil", i, got)
		}
	}
}

func TestInterface(t *testing.T) {
	doc := mustParse(t, readFile(t, "tabs.in.xml"))
	for _, tt := range []struct {
		i, mtu int
		want   string
	}{
		{0, 9000, `<interface type='bridge'>
			<mac address='52:54:00:00:00:01'/>
			<source bridge='br0'/>
			<model type='virtio'/>
			<mtu size='9000'/>
		</interface>`},
		{1, 9000, `<interface type='bridge'>
			<model type='virtio'/>
			<mtu size='9000'/>
			<source bridge='br0'/>
		</interface>`},
		{1, 0, `<interface type='bridge'>
			<model type='virtio'/>
			<source bridge='br0'/>
		</interface>`},
	} {
		if diff := cmp.Diff(tt.want, string(doc.Interface(tt.i, tt.mtu))); diff != "" {
			t.Errorf("Interface(%d, %d) (-want +got):\n%s", tt.i, tt.mtu, diff)
		}
	}
}

// checkSplice holds Splice to its promises on any document that Parse accepts.
func checkSplice(t *testing.T, src []byte) {
	t.Helper()
	doc := mustParse(t, src)
	for _, to := range []int{9000, 0, MaxMTU} {
		mtus := make(map[int]int)
		want := doc.Domain
		want.NICs = nil
		for i, nic := range doc.NICs {
			mtus[i] = to
			nic.MTU = to
			want.NICs = append(want.NICs, nic)
		}
		out := doc.Splice(mtus)
		after, err := Parse(out)
		if err != nil {
			t.Fatalf("Splice to %d made what Parse refuses: %v\n%s", to, err, out)
		}
		if diff := cmp.Diff(want, after.Domain); diff != "" {
			t.Fatalf("Splice to %d (-want +got):\n%s", to, diff)
		}
		if twice := after.Splice(mtus); !bytes.Equal(out, twice) {
			t.Fatalf("Splice to %d twice: %q, then %q", to, out, twice)
		}
		back := make(map[int]int)
		for i, nic := range doc.NICs {
			back[i] = nic.MTU
			if doc.sites[i].element == (span{}) {
				continue
			}
			// An <mtu> that was there comes back by another path than its removal.
			delete(back, i)
			mtus[i] = nic.MTU
		}
		if got := mustParse(t, doc.Splice(mtus)).Splice(back); !bytes.Equal(src, got) {
			t.Fatalf("to %d and back:\n%q\n%q", to, src, got)
		}
		for i := range doc.NICs {
			alone := "<domain><devices>" + string(doc.Interface(i, to)) + "</devices></domain>"
			// A prefix may be declared further out, and be another one's without.
			if bytes.Contains(src, []byte("xmlns")) {
				break
			}
			if got := mustParse(t, []byte(alone)); !cmp.Equal(want.NICs[i:i+1], got.NICs) {
				t.Fatalf("Interface(%d, %d) is another NIC:\n%s", i, to, cmp.Diff(want.NICs[i:i+1], got.NICs))
			}
		}
	}
}

func mustParse(t testing.TB, src []byte) *Document {
	t.Helper()
	doc, err := Parse(src)
	if err != nil {
		t.Fatalf("Parse: %v\n%s", err, src)
	}
	return doc
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
