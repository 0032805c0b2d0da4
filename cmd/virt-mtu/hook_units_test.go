package main

import (
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/unit"
	"virt-mtu/packaging"
)

// What hook install --systemd offers to enable is what can be.
func TestUnitWays(t *testing.T) {
	var offered, can []string
	for _, w := range unitWays {
		offered = append(offered, w.units...)
	}
	slices.Sort(offered)
	for _, name := range unit.Names() {
		raw, err := fs.ReadFile(packaging.Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(raw), "\n[Install]\n") {
			can = append(can, name)
		}
	}
	if diff := cmp.Diff(can, offered); diff != "" {
		t.Error(diff)
	}
}
