package hookdir

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/finding"
)

func TestJudge(t *testing.T) {
	const own = "/etc/libvirt/hooks/qemu.d/50-virt-mtu"
	good := entry{path: own, executable: true, ours: true}
	other := entry{path: "/etc/libvirt/hooks/qemu", executable: true}
	daemon := Daemon{"libvirtd", 7, 7}
	type want struct {
		Installed, Loaded bool
		Codes             []finding.Code
	}
	for _, tt := range []struct {
		name string
		in   facts
		want want
	}{
		{"nothing there", facts{}, want{false, false, []finding.Code{"hook-missing"}}},
		{"others there", facts{entries: []entry{other}}, want{false, false, []finding.Code{"hook-missing"}}},
		{"something else in its place", facts{foreign: true, entries: []entry{{path: own, executable: true}}},
			want{false, false, []finding.Code{"hook-shadowed"}}},
		{"in place, no daemon", facts{entries: []entry{good}}, want{true, true, nil}},
		{"in place beside others", facts{entries: []entry{other, good}, daemons: 1, version: 9_000_000}, want{true, true, nil}},
		{"daemon has not looked", facts{entries: []entry{good}, daemons: 1, deaf: []Daemon{daemon}},
			want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"daemon without a pid file", facts{entries: []entry{good}, version: 9_000_000},
			want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"not executable", facts{entries: []entry{{path: own, ours: true}}}, want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"noexec", facts{entries: []entry{{path: own, ours: true, noexec: true}}}, want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"libvirt 6.4", facts{entries: []entry{good}, daemons: 1, version: 6_004_999}, want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"libvirt 6.5", facts{entries: []entry{good}, daemons: 1, version: 6_005_000}, want{true, true, nil}},
		{"another build", facts{entries: []entry{good}, stale: "/usr/bin/virt-mtu-qemu-hook"}, want{true, true, []finding.Code{"hook-shadowed"}}},
		{"selinux", facts{entries: []entry{good}, selinux: true}, want{true, true, []finding.Code{"selinux-enforcing"}}},
		{"a link out, no apparmor", facts{entries: []entry{{path: own, ours: true, executable: true, link: "/opt/qemu-hook"}}}, want{true, true, nil}},
		{"a link out, apparmor", facts{apparmor: true, entries: []entry{{path: own, ours: true, executable: true, link: "/opt/qemu-hook"}}},
			want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"a link to a folder of bin, apparmor", facts{apparmor: true, entries: []entry{{path: own, ours: true, executable: true, link: "/usr/bin/x/qemu-hook"}}},
			want{true, false, []finding.Code{"hook-not-loaded"}}},
		{"a link to bin, apparmor", facts{apparmor: true, entries: []entry{{path: own, ours: true, executable: true, link: "/usr/bin/virt-mtu-qemu-hook"}}},
			want{true, true, nil}},
		{"a link within, apparmor", facts{apparmor: true, entries: []entry{{path: own, ours: true, executable: true, link: "/etc/libvirt/hooks/x/hook"}}},
			want{true, true, nil}},
		{"a second copy", facts{entries: []entry{{path: "/etc/libvirt/hooks/qemu", executable: true, ours: true}, good}},
			want{true, true, []finding.Code{"hook-shadowed"}}},
		{"a second copy that libvirt does not run", facts{entries: []entry{{path: "/etc/libvirt/hooks/qemu", ours: true}, good}},
			want{true, true, nil}},
		{"a copy elsewhere alone", facts{entries: []entry{{path: "/etc/libvirt/hooks/qemu.d/60-x", executable: true, ours: true}}},
			want{false, false, []finding.Code{"hook-missing", "hook-shadowed"}}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			tt.in.path = own
			s := judge(tt.in)
			got := want{Installed: s.Installed, Loaded: s.Loaded}
			for _, p := range s.Problems {
				got.Codes = append(got.Codes, p.Code)
				if p.Message == "" || p.Remedy == "" {
					t.Errorf("%s says too little: %+v", p.Code, p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Error(diff)
			}
			if s.Problems == nil {
				t.Error("problems are null in JSON")
			}
		})
	}
}
