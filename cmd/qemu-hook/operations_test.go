package main

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/netns"
)

// did is all that a call can do.
type did struct {
	Status int
	Prints bool // on stdout
	Raises bool // the tap
	Queues bool
	Marked bool // as incoming, afterwards
}

var (
	fine   = domain(nic{target: "vnet0"})
	cannot = domain(nic{target: "vnet0", model: "rtl8139"})
)

// The protocol, operation by operation: on a bridge with 9000, for a guest that
// could have it, for one whose model cannot, and for both once they have come in
// by migration or restore.
func TestIntegrationOperations(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		for call, want := range map[string]struct{ fine, fineIncoming, cannot, cannotIncoming did }{
			"prepare begin": {
				did{Prints: true}, did{Prints: true, Marked: true},
				did{Status: 1}, did{Prints: true, Marked: true}},
			"start begin": {
				did{Raises: true, Queues: true}, did{Raises: true, Marked: true},
				did{Status: 1, Raises: true}, did{Raises: true, Marked: true}},
			"started begin":   {did{Raises: true}, did{Raises: true}, did{Raises: true}, did{Raises: true}},
			"reconnect begin": {did{Raises: true}, did{Raises: true, Marked: true}, did{Raises: true}, did{Raises: true, Marked: true}},
			"attach begin":    {did{Raises: true}, did{Raises: true, Marked: true}, did{Raises: true}, did{Raises: true, Marked: true}},
			"stopped end":     {},
			"release end":     {},
			"migrate begin":   {did{Marked: true}, did{Marked: true}, did{Marked: true}, did{Marked: true}},
			"restore begin":   {did{Marked: true}, did{Marked: true}, did{Marked: true}, did{Marked: true}},
		} {
			for name, tt := range map[string]struct {
				xml      string
				incoming bool
				want     did
			}{
				"fine":             {fine, false, want.fine},
				"fine, incoming":   {fine, true, want.fineIncoming},
				"cannot":           {cannot, false, want.cannot},
				"cannot, incoming": {cannot, true, want.cannotIncoming},
			} {
				t.Run(call+" "+name, func(t *testing.T) {
					op, subop, _ := strings.Cut(call, " ")
					h.wantDid(t, tt.want, tt.xml, tt.incoming, "web1", op, subop, "-")
				})
			}
		}
	})
}

// Whatever is not one of libvirt's calls is passed over: a later libvirt's, and
// those of libvirt's with another sub-operation.
func TestIntegrationForeignOperations(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		calls := [][]string{nil, {""}, {"web1"}, {"web1", "prepare"}, {"prepare", "begin"}, {"web1", "", ""}}
		for _, op := range []string{"prepare", "start", "started", "reconnect", "attach", "stopped", "release", "migrate", "restore"} {
			for _, subop := range []string{"", "-", "begin", "end", "Begin", "begin "} {
				if end := op == "stopped" || op == "release"; subop == "begin" && !end || subop == "end" && end {
					continue
				}
				calls = append(calls, []string{"web1", op, subop, "-"})
			}
		}
		for _, op := range []string{"Prepare", "prepare ", "pre-start", "updated", "shutdown", "-", "--help"} {
			for _, subop := range []string{"begin", "end"} {
				calls = append(calls, []string{"web1", op, subop, "-"})
			}
		}
		h.reset(t)
		netns.IP(t, jumbo)
		before := mtus(t)
		for _, args := range calls {
			r := h.run(t, cannot, args...)
			r.wantQuiet(t)
			if len(r.log) > 0 || marked(t) || queued(t) != "" {
				t.Errorf("%q: something done, log %q", args, r.log)
			}
		}
		if diff := cmp.Diff(before, mtus(t)); diff != "" {
			t.Error(diff)
		}
	})
}

// libvirt 9.0 gives "-" as the fourth argument, 11.3 gives stopped and release a
// reason, a later one may give more: they are the same call.
func TestIntegrationExtraArguments(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		for _, extra := range [][]string{nil, {"-"}, {"crashed"}, {""}, {"-", "more", "yet"}} {
			t.Run(fmt.Sprintf("%q", extra), func(t *testing.T) {
				h.wantDid(t, did{}, fine, true, append([]string{"web1", "release", "end"}, extra...)...)
				h.wantDid(t, did{Status: 1}, cannot, false, append([]string{"web1", "prepare", "begin"}, extra...)...)
			})
		}
	})
}

func (h *host) wantDid(t *testing.T, want did, xml string, incoming bool, args ...string) {
	t.Helper()
	h.reset(t)
	netns.IP(t, jumbo)
	if incoming {
		h.mark(t, xml, 0)
	}
	r := h.run(t, xml, args...)
	got := did{r.status, r.stdout != "", mtus(t)["vnet0"] == 9000, queued(t) != "", marked(t)}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%q (-want +got):\n%s\nstderr: %s\nlog: %q", args, diff, r.stderr, r.log)
	}
	if refused := r.status == 1; (r.stderr != "") != refused {
		t.Errorf("exit %d with stderr %q", r.status, r.stderr)
	}
}
