package check

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// Which of the domains could migrate, and what that comes to.
func TestMigrate(t *testing.T) {
	jumbo := defined("jumbo1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000)))
	plain := running(nicXML("bridge", "bridge='br0'", "virtio", ""))
	broken := facts.Domain{Name: "broken1", State: "shut off", PersistentXML: "<domain>"}
	odd := defined("odd1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000)))
	odd.PersistentXML = strings.Replace(odd.PersistentXML, "<devices>", "<metadata><p:domain xmlns:p='"+policy.MetadataURI+"' mtu='nonsense'/></metadata><devices>", 1)
	here := kvm(t, "kvm1", 9000, jumbo, plain, broken, odd)

	same := Destination{Name: "kvm1", Facts: kvm(t, "whatever", 9000)}
	small := Destination{Facts: kvm(t, "kvm2", 1500)}
	pinned := Destination{Facts: kvm(t, "kvm3", 9000)}
	pinned.Facts.Links[0].MTU = 1500
	narrow := Destination{Facts: kvm(t, "kvm4", 1400)}
	vague := Destination{Facts: kvm(t, "kvm5", 9000), Remedy: "ask more"}
	vague.Facts.Links[1].Kind = host.Virtual
	gone := Destination{Name: "kvm6", Err: errors.New("no\nanswer"), Remedy: "ask again"}

	for _, tt := range []struct {
		name   string
		names  string
		to     Destination
		status finding.Severity
		want   string // "domain to verdict code..."
	}{
		{"all is well", "jumbo1 web1", same, "ok", "jumbo1 kvm1 (2) yes, web1 kvm1 (2) yes"},
		{"one cannot", "jumbo1 web1", small, "critical", "jumbo1 kvm2 no guest-above-segment, web1 kvm2 yes"},
		{"and of one it is not known", "jumbo1 odd1", small, "critical", "jumbo1 kvm2 no guest-above-segment, odd1 kvm2 unknown config-invalid"},
		{"a warning", "jumbo1 web1", pinned, "warning", "jumbo1 kvm3 yes bridge-below-uplink, web1 kvm3 yes"},
		{"told nothing", "web1", narrow, "warning", "web1 kvm4 yes guest-not-told"},
		{"not known", "jumbo1 web1", vague, "unknown", "jumbo1 kvm5 unknown not-known, web1 kvm5 yes"},
		{"not reached", "web1", gone, "unknown", "web1 kvm6 unknown not-known"},
		{"not read", "broken1 web1", same, "unknown", "broken1 kvm1 (2) unknown not-known, web1 kvm1 (2) yes"},
		{"not there", "web1 web9", same, "unknown", "web1 kvm1 (2) yes, web9 kvm1 (2) unknown not-known"},
		{"all", "", small, "critical", "broken1 kvm2 unknown not-known, jumbo1 kvm2 no guest-above-segment, odd1 kvm2 unknown config-invalid, web1 kvm2 yes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := Migrate([]facts.Facts{here}, []Destination{tt.to}, Options{Config: policy.Default(), Names: strings.Fields(tt.names)})
			var got []string
			for _, v := range m.Moves {
				line := v.Domain + " " + v.To + " " + v.Verdict
				for _, f := range v.Findings {
					line += " " + string(f.Code)
				}
				got = append(got, line)
				if want := map[string]string{"web1": "running", "web9": ""}; v.State != "shut off" && v.State != want[v.Domain] {
					t.Errorf("%s is %q", v.Domain, v.State)
				}
			}
			if d := cmp.Diff(tt.want, strings.Join(got, ", ")); d != "" || m.Status() != tt.status {
				t.Errorf("status %s, want %s; -want +got:\n%s", m.Status(), tt.status, d)
			}
		})
	}

	if m := Migrate(nil, []Destination{same}, Options{}); m.Moves == nil || m.Status() != "ok" {
		t.Errorf("no domain: %+v", m)
	}
	remedy := func(d Destination) string {
		return Migrate([]facts.Facts{here}, []Destination{d}, Options{Config: policy.Default(), Names: []string{"jumbo1"}}).Moves[0].Findings[0].Remedy
	}
	small.Name = "kvm2\nreboot"
	for _, c := range []struct{ got, want string }{
		{remedy(vague), "ask more"},
		{remedy(gone), "ask again"},
		{remedy(small), "# on 'kvm2?reboot':\n# where every switch on the way carries that:\nip link set dev eth0 mtu 9000\n# to last: mtu 9000 for eth0, where this host configures its links"},
	} {
		if c.got != c.want {
			t.Errorf("remedy %q, want %q", c.got, c.want)
		}
	}
}

// A rule of the destination's that has the hook leave a NIC alone, where it is told.
func TestMigrateConfig(t *testing.T) {
	here := kvm(t, "kvm1", 9000, defined("jumbo1", nicXML("bridge", "bridge='br0'", "virtio", mtuXML(9000))))
	to := []Destination{{Facts: kvm(t, "kvm2", 1500)}}
	for text, want := range map[string]string{
		"":                     No,
		"migration = \"warn\"": No, // it would come, and its packets vanish
		"[[rule]]\ndomain = \"jumbo*\"\nmtu = \"ignore\"": Yes,
	} {
		config, err := policy.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		if got := Migrate([]facts.Facts{here}, to, Options{Config: config}).Moves[0].Verdict; got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
