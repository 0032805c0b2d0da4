package state

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestUnplugged(t *testing.T) {
	base := filepath.Join(t.TempDir(), "x")
	d, err := Open(base)
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	const uuid = "11111111-2222-3333-4444-555555555501"
	want := func(xml string) {
		t.Helper()
		if got, err := d.Unplugged(uuid); err != nil || strings.TrimSpace(got) != xml {
			t.Errorf("%q, %v, want %q", got, err, xml)
		}
	}
	want("")
	for _, xml := range []string{"<interface/>", "<interface>\n</interface>"} {
		if err := d.MarkUnplugged(uuid, xml); err != nil {
			t.Fatal(err)
		}
		want(xml)
	}
	for range 2 {
		if err := d.ClearUnplugged(uuid); err != nil {
			t.Fatal(err)
		}
		want("")
	}
	if d.MarkUnplugged("../x", "") == nil || d.MarkUnplugged(uuid, strings.Repeat("x", maxInterface+1)) == nil {
		t.Error("taken")
	}
	// A link in its place is not followed.
	if err := os.Symlink("/etc/hostname", filepath.Join(base, "unplugged", uuid)); err != nil {
		t.Fatal(err)
	}
	if got, err := d.Unplugged(uuid); err == nil {
		t.Errorf("%q by way of a link", got)
	}
}
