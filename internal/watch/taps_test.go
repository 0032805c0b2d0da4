package watch

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/collect"
	"virt-mtu/internal/fix"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/tap"
)

// quickTaps are taps of a host that nobody wants left alone, and that has been read.
func quickTaps(f *fake) *taps {
	w := f.watcher()
	w.start(f.config)
	w.taps.change(collect.Change{Resync: true})
	w.taps.quick = true
	return &w.taps
}

func TestTapChange(t *testing.T) {
	const raised = "vnet7 on br0 to 9000"
	plain := host.Link{Name: "eth0", Index: 2, Kind: "ixgbe", MTU: 9000, Master: "br0"}
	lower, moved, renewed := plain, plain, plain
	lower.MTU, moved.Master, renewed.Index = 1500, "", 9
	for _, tt := range []struct {
		name   string
		change collect.Change
		pins   bool
		raised []string
		dirty  bool // whatever it is like when it has settled
		stale  bool // to be read anew
	}{
		{"a tap of libvirt's", collect.Change{Link: tapLink("vnet7", "br0", 1500)}, false, []string{raised}, false, false},
		{"that is right", collect.Change{Link: tapLink("vnet7", "br0", 9000)}, false, nil, false, false},
		{"that is above", collect.Change{Link: tapLink("vnet7", "br0", 9001)}, false, nil, false, false},
		{"that is of no bridge yet", collect.Change{Link: tapLink("vnet7", "", 1500)}, false, nil, false, false},
		{"that goes", collect.Change{Link: tapLink("vnet7", "br0", 1500), Gone: true}, false, nil, false, false},
		{"that is of a bridge not known", collect.Change{Link: tapLink("vnet7", "br9", 1500)}, false, nil, false, false},
		{"that is of what is no bridge", collect.Change{Link: tapLink("vnet7", "eth0", 1500)}, false, nil, false, false},
		{"whose bridge may be pinned now", collect.Change{Link: tapLink("vnet7", "br0", 1500)}, true, []string{raised}, false, true},
		{"that was there, with pins", collect.Change{Link: tapLink("vnet0", "br0", 9000)}, true, nil, false, false},

		{"somebody's tap", collect.Change{Link: tapLink("tap0", "br0", 1500)}, false, nil, true, true},
		{"one that is called nearly so", collect.Change{Link: tapLink("vnet", "br0", 1500)}, false, nil, true, true},
		{"and with more behind", collect.Change{Link: tapLink("vnet7a", "br0", 1500)}, false, nil, true, true},
		{"and before", collect.Change{Link: tapLink("myvnet7", "br0", 1500)}, false, nil, true, true},
		{"somebody's that is right", collect.Change{Link: tapLink("tap0", "br0", 9000)}, false, nil, false, false},

		{"a bridge that is no other", collect.Change{Link: bridgeLink("br0", 1, 9000)}, false, nil, false, false},
		{"a bridge that is raised", collect.Change{Link: bridgeLink("br0", 1, 9100)}, false, nil, false, true},
		{"a bridge that dips", collect.Change{Link: bridgeLink("br0", 1, 1500)}, false, nil, true, true},
		{"a new bridge", collect.Change{Link: bridgeLink("br9", 9, 1500)}, false, nil, false, true},
		{"a bridge goes", collect.Change{Link: bridgeLink("br0", 1, 9000), Gone: true}, false, nil, false, true},
		{"what was not known goes", collect.Change{Link: bridgeLink("br9", 9, 1500), Gone: true}, false, nil, false, false},
		{"an uplink that is no other", collect.Change{Link: plain}, false, nil, false, false},
		{"an uplink that dips", collect.Change{Link: lower}, false, nil, true, true},
		{"an uplink leaves", collect.Change{Link: moved}, false, nil, false, true},
		{"another uplink by that name", collect.Change{Link: renewed}, false, nil, false, true},
	} {
		f := newFake()
		f.snapshot.Links = append(f.snapshot.Links, tapLink("vnet0", "br0", 9000))
		taps := quickTaps(f)
		taps.pins = tt.pins
		dirty := taps.change(tt.change)
		if dirty != tt.dirty {
			t.Errorf("%s: dirty %v", tt.name, dirty)
		}
		if diff := cmp.Diff(tt.raised, f.raised); diff != "" {
			t.Errorf("%s: raised (-want +got):\n%s", tt.name, diff)
		}
		if stale := len(taps.stale) == 1; stale != tt.stale {
			t.Errorf("%s: to be read anew: %v", tt.name, stale)
		}
	}
}

func TestTapTarget(t *testing.T) {
	uplink := func(mtu int) host.Link { return host.Link{Name: "eth0", Kind: "ixgbe", MTU: mtu, Master: "br0"} }
	for _, tt := range []struct {
		name  string
		links []host.Link
		want  string
	}{
		{"its bridge's", []host.Link{bridgeLink("br0", 1, 4000)}, "vnet7 on br0 to 4000"},
		{"its uplink's, where a tap has drawn the bridge down", []host.Link{bridgeLink("br0", 1, 1500), uplink(9000)}, "vnet7 on br0 to 9000"},
		{"its bridge's, above an uplink", []host.Link{bridgeLink("br0", 1, 9000), uplink(4000)}, "vnet7 on br0 to 9000"},
		{"no more than a tap takes", []host.Link{bridgeLink("br0", 1, 65535)}, "vnet7 on br0 to 65521"},
		{"Open vSwitch's is left alone", []host.Link{{Name: "ovs-system", Kind: "openvswitch", MTU: 1500}, {Name: "br0", Kind: "openvswitch", MTU: 9000}}, ""},
	} {
		f := newFake()
		f.snapshot.Links = tt.links
		quickTaps(f).change(collect.Change{Link: tapLink("vnet7", "br0", 1500)})
		if got := fmt.Sprint(f.raised); got != "["+tt.want+"]" {
			t.Errorf("%s: raised %v, want %q", tt.name, f.raised, tt.want)
		}
	}
}

type stubborn struct {
	*fake
	err error
}

func (s stubborn) Raise(string, string, int) (int, error) { return 0, s.err }

// What the kernel refuses is the reconcile's to try again; what has gone on meanwhile is
// nothing.
func TestTapNotRaised(t *testing.T) {
	for _, tt := range []struct {
		err   error
		dirty bool
	}{
		{tap.ErrGone, false}, {tap.ErrNotPort, false}, {tap.ErrNotTap, false},
		{fmt.Errorf("raise: %w", tap.ErrGone), false},
		{errors.New("no memory"), true},
	} {
		f := newFake()
		taps := quickTaps(f)
		taps.raise = stubborn{f, tt.err}.Raise
		if dirty := taps.change(collect.Change{Link: tapLink("vnet7", "br0", 1500)}); dirty != tt.dirty {
			t.Errorf("%v: dirty %v", tt.err, dirty)
		}
		want := map[string]float64{}
		if tt.dirty {
			want["errors_total tap"] = 1
		}
		if diff := cmp.Diff(want, f.metrics(t)); diff != "" {
			t.Errorf("%v: metrics (-want +got):\n%s", tt.err, diff)
		}
		if got := len(f.log.take("raise tap")); got != len(want) {
			t.Errorf("%v: %d lines", tt.err, got)
		}
	}
}

func TestResync(t *testing.T) {
	f := newFake()
	taps := quickTaps(f)
	f.snapshot.Links = []host.Link{bridgeLink("br1", 3, 8000), tapLink("vnet0", "br1", 1500), tapLink("vnet1", "br1", 8000), tapLink("tap0", "br1", 1500)}
	if !taps.change(collect.Change{Resync: true}) {
		t.Error("domains are not looked at")
	}
	taps.change(collect.Change{Link: tapLink("vnet2", "br1", 1500)})
	taps.change(collect.Change{Link: tapLink("vnet3", "br0", 1500)}) // is no more
	if diff := cmp.Diff([]string{"vnet0 on br1 to 8000", "vnet2 on br1 to 8000"}, f.raised); diff != "" {
		t.Errorf("raised (-want +got):\n%s", diff)
	}
}

func TestPinnable(t *testing.T) {
	uplink := func(bridge string, mtu int) host.Link {
		return host.Link{Name: bridge + "-up", Kind: "ixgbe", MTU: mtu, Master: bridge}
	}
	for _, tt := range []struct {
		name  string
		links []host.Link
		want  []string
	}{
		{"with a tap", []host.Link{bridgeLink("br0", 1, 9000), uplink("br0", 9000), tapLink("vnet0", "br0", 9000)}, []string{"br0"}},
		{"without one", []host.Link{bridgeLink("br0", 1, 9000), uplink("br0", 9000)}, nil},
		{"held down by a tap", []host.Link{bridgeLink("br0", 1, 1500), uplink("br0", 9000), tapLink("vnet0", "br0", 1500)}, nil},
		{"two", []host.Link{bridgeLink("br0", 1, 9000), bridgeLink("br1", 2, 1500), tapLink("vnet0", "br0", 9000), tapLink("vnet1", "br1", 1500)}, []string{"br0", "br1"}},
		{"no Linux bridge", []host.Link{{Name: "ovs0", Kind: "openvswitch", MTU: 1500}, tapLink("vnet0", "ovs0", 1500)}, nil},
		{"none at all", nil, nil},
	} {
		f := newFake()
		f.snapshot.Links = tt.links
		if diff := cmp.Diff(tt.want, keys(quickTaps(f).pinnable())); diff != "" {
			t.Errorf("%s (-want +got):\n%s", tt.name, diff)
		}
	}
}

// Who wants to be left alone makes taps wait for libvirt; only a look at everybody says
// that there is nobody.
func TestLeaves(t *testing.T) {
	ignore := policy.Setting{Kind: policy.Ignore}
	plain, rule, top := policy.Default(), policy.Default(), policy.Default()
	rule.Rules = []policy.Rule{{Domain: "a*"}, {Domain: "legacy-*", MTU: ignore}}
	top.MTU = ignore
	fixed := policy.Default()
	fixed.Rules = []policy.Rule{{Domain: "a*", MTU: policy.Setting{Kind: policy.Fixed, MTU: 9000}}}
	somebody := report(result("a"), result("b", fix.Interface{Action: "none"}, ignored()))
	withoutNIC := report(result("a"), result("b"))
	*unexported[bool](&withoutNIC.Domains[1], "ignored") = true
	nobody := report(result("a"), result("b", fix.Interface{Action: "none"}, fix.Interface{Action: "skip"}))
	for _, tt := range []struct {
		name        string
		config      policy.Config
		report      fix.Report
		all, before bool
		want        bool
	}{
		{"nobody", plain, nobody, true, true, false},
		{"nobody, with rules", fixed, nobody, true, true, false},
		{"everybody", top, nobody, true, false, true},
		{"a rule's", rule, nobody, true, false, true},
		{"one of all", plain, somebody, true, false, true},
		{"one that has no NIC", plain, withoutNIC, true, false, true},
		{"one of some", plain, somebody, false, false, true},
		{"none of some, none before", plain, nobody, false, false, false},
		{"none of some, one before", plain, nobody, false, true, true},
		{"one that could not be read", plain, report(failed("a", errors.New("no answer"))), true, false, true},
	} {
		if got := leaves(tt.config, tt.report, tt.all, tt.before); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
