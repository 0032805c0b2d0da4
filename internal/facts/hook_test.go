package facts

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/finding"
)

// What others say about their hook has the severity of this table, and a remedy only
// where it is about the hook.
func TestDecodeHook(t *testing.T) {
	f, err := Decode(strings.NewReader(`{"version":1,"hook":[
		{"code":"hook-missing","severity":"critical","message":"a","remedy":"virt-mtu hook install"},
		{"code":"guest-above-segment","severity":"ok","message":"b","remedy":"reboot"},
		{"code":"\u001b]0;pwned\u0007","severity":"CRITICAL","message":"c","remedy":"reboot"},
		{"message":"d","remedy":"reboot"},
		{}]}`))
	if err != nil {
		t.Fatal(err)
	}
	want := []finding.Finding{
		{Code: finding.HookMissing, Severity: finding.Info, Message: "a", Remedy: "virt-mtu hook install"},
		{Code: finding.GuestAboveSegment, Severity: finding.Critical, Message: "b"},
		{Code: finding.NotKnown, Severity: finding.Unknown, Message: "c"},
		{Code: finding.NotKnown, Severity: finding.Unknown, Message: "d"},
		{Code: finding.NotKnown, Severity: finding.Unknown},
	}
	if diff := cmp.Diff(want, f.Hook); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}
