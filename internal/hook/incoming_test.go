package hook

import (
	"os"
	"testing"
	"time"
)

// Only a definition that was surely written after the mark tells that the guest has come.
func TestDefinedSince(t *testing.T) {
	dir := t.TempDir() + "/"
	mark := time.Now().Add(-time.Minute)
	for _, c := range []struct {
		name string
		at   time.Time
		want bool
	}{
		{"before", mark.Add(-time.Second), false},
		{"with", mark, true},
		{"after", mark.Add(time.Second), true},
		{"ahead", mark.Add(time.Hour), false}, // a clock that was set
	} {
		path := dir + c.name + ".xml"
		if err := os.WriteFile(path, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, c.at, c.at); err != nil {
			t.Fatal(err)
		}
		if got := definedSince(dir, c.name, mark); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	for _, name := range []string{"none", "../" + "x", "a\x00b"} {
		if definedSince(dir, name, mark) {
			t.Errorf("%q has a definition", name)
		}
	}
}
