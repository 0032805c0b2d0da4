package render

import (
	"bytes"
	"encoding/json"
	"flag"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
)

var update = flag.Bool("update", false, "write the golden files of testdata anew")

// golden are the outputs of testdata/report.json: two hosts, a VXLAN tunnel above its
// underlay, Open vSwitch with patch ports, macvtap, a passed-through function.
var golden = map[string]func(io.Writer, *check.Report) error{
	"txt":       func(w io.Writer, r *check.Report) error { return Text(w, r, Options{}) },
	"color.txt": func(w io.Writer, r *check.Report) error { return Text(w, r, Options{Color: true}) },
	"dot":       DOT,
	"prom":      Prometheus,
}

func example(t *testing.T) *check.Report {
	t.Helper()
	text, err := os.ReadFile("testdata/report.json")
	must(t, err)
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	r := &check.Report{}
	must(t, d.Decode(r))
	return r
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestGolden(t *testing.T) {
	r := example(t)
	for suffix, render := range golden {
		t.Run(suffix, func(t *testing.T) {
			var got bytes.Buffer
			must(t, render(&got, r))
			compare(t, filepath.Join("testdata", "report."+suffix), got.String())
		})
	}
}

// compare holds what has been written against a golden file.
func compare(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		must(t, os.WriteFile(file, []byte(got), 0o644))
	}
	want, err := os.ReadFile(file)
	must(t, err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", file, diff)
	}
}
