package calc

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/neutron"
)

// What scripts read: every key is there, and a list is never null.
func TestJSON(t *testing.T) {
	a, err := neutron.MTU(neutron.Options{NetworkType: "flat", OverlayIPVersion: 4, MaxHeaderSize: 30})
	if err != nil {
		t.Fatal(err)
	}
	network := OfNetwork(neutron.Options{NetworkType: "flat", OverlayIPVersion: 4}, a)
	layers, mtu, err := encap.Stack(1500, nil, encap.Options{Family: 6})
	if err != nil {
		t.Fatal(err)
	}
	told := New(1500, 6, layers, mtu)
	told.Advertise = Advertised(mtu)
	for _, tt := range []struct {
		name string
		r    Result
		more []string
		want map[string]any
	}{
		{"bare", New(1500, 6, layers, mtu), nil, map[string]any{
			"underlay": 1500., "family": 6., "layers": []any{}, "mtu": 1500., "ping4": 1472., "ping6": 1452.}},
		{"advertised", told, []string{"advertise"}, map[string]any{"mtu": 1500.}},
		{"no limit", network, []string{"maximum", "network_type", "steps"}, map[string]any{
			"underlay": 0., "family": 4., "layers": []any{}, "mtu": 0., "ping4": 0., "ping6": 0., "maximum": 0., "network_type": "flat"}},
	} {
		text, err := json.Marshal(tt.r)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]any
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatal(err)
		}
		keys := append([]string{"underlay", "family", "layers", "mtu", "ping4", "ping6"}, tt.more...)
		slices.Sort(keys)
		if diff := cmp.Diff(keys, slices.Sorted(maps.Keys(got))); diff != "" {
			t.Errorf("%s: keys (-want +got):\n%s", tt.name, diff)
		}
		for key, want := range tt.want {
			if diff := cmp.Diff(want, got[key]); diff != "" {
				t.Errorf("%s: %s (-want +got):\n%s", tt.name, key, diff)
			}
		}
		if a, ok := got["advertise"]; ok {
			first := map[string]any{"for": "dnsmasq", "line": "dhcp-option=option:mtu,1500", "why": ""}
			if diff := cmp.Diff(first, a.([]any)[0]); diff != "" {
				t.Errorf("%s: advertise (-want +got):\n%s", tt.name, diff)
			}
		}
	}
}

func TestAdvertised(t *testing.T) {
	for _, tt := range []struct {
		mtu  int
		want string
	}{
		{1450, "dhcp-option=option:mtu,1450|AdvLinkMTU 1450;|<mtu size='1450'/>"},
		{1280, "dhcp-option=option:mtu,1280|AdvLinkMTU 1280;|<mtu size='1280'/>"},
		{1279, "dhcp-option=option:mtu,1279|IPv6 needs 1280 at least (RFC 8200), and this is 1279|<mtu size='1279'/>"},
		{0, "no MTU is known|no MTU is known|no MTU is known"},
	} {
		var got []string
		for _, l := range Advertised(tt.mtu) {
			if (l.Line == "") == (l.Why == "") {
				t.Errorf("%d: one of line and why: %+v", tt.mtu, l)
			}
			got = append(got, l.Line+l.Why)
		}
		if diff := cmp.Diff(tt.want, strings.Join(got, "|")); diff != "" {
			t.Errorf("%d (-want +got):\n%s", tt.mtu, diff)
		}
	}
}
