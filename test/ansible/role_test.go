package ansible

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/container"
	"virt-mtu/test/programs"
)

// site is the collection's playbook.
const site = "virt_mtu.virt_mtu.site"

// fleet is a Debian 12 and a Debian 13 with a running guest, one that is off, and hooks of
// an admin's, and a controller that deploys on both at once.
type fleet struct {
	*Controller
	hosts []*container.Container
	was   map[string]state // of each host, before anything
}

// state is what must not change, or has to come back.
type state struct{ Tree, Definitions, Libvirtd string }

func newFleet(t *testing.T) *fleet {
	t.Helper()
	f := &fleet{was: map[string]state{}}
	for _, release := range []string{"bookworm", "trixie"} {
		h := kvm(t, release)
		f.hosts = append(f.hosts, h)
		for _, name := range []string{"qemu", "qemu.d/10-admin"} {
			h.WriteFile(t, "/etc/libvirt/hooks/"+name, "#!/bin/sh\ncat >/dev/null\necho \"$0 $*\" >>/run/lab/hooks.log\n", 0o755)
		}
		h.Run(t, "systemctl", "reload", "libvirtd.service")
		define(t, h, "runs1", "virtio")
		boot(t, h, "runs1")
		define(t, h, "web1", "virtio")
	}
	f.Controller = New(t, f.hosts...)
	for _, h := range f.hosts {
		f.was[h.Name] = stateOf(t, h)
	}
	return f
}

func stateOf(t testing.TB, h *container.Container) state {
	t.Helper()
	return state{tree(t, h), definition(t, h, "web1") + definition(t, h, "runs1"), libvirtd(t, h)}
}

// deploy runs the playbook on all hosts at once with these variables.
func (f *fleet) deploy(t *testing.T, vars map[string]any, flags ...string) Result {
	t.Helper()
	all := map[string]any{"virt_mtu_serial": len(f.hosts), "virt_mtu_max_fail_percentage": 100}
	maps.Copy(all, vars)
	began := time.Now()
	r := f.Play(t, site, all, flags...)
	t.Logf("took %v", time.Since(began).Round(time.Second))
	return r
}

// want wants every host changed, or not.
func (f *fleet) want(t *testing.T, r Result, change bool) {
	t.Helper()
	want := same
	if change {
		want = changed
	}
	for _, h := range f.hosts {
		wantHost(t, r, h, want)
	}
}

// wantAsBefore wants of every host what it was before anything.
func (f *fleet) wantAsBefore(t *testing.T) {
	t.Helper()
	for _, h := range f.hosts {
		if diff := cmp.Diff(f.was[h.Name], stateOf(t, h)); diff != "" {
			t.Errorf("%s is not as it was (-was +is):\n%s", h.Name, diff)
		}
	}
}

func (f *fleet) wantLibvirtdStays(t *testing.T) {
	t.Helper()
	for _, h := range f.hosts {
		if diff := cmp.Diff(f.was[h.Name].Libvirtd, libvirtd(t, h)); diff != "" {
			t.Errorf("%s: libvirtd was restarted:\n%s", h.Name, diff)
		}
	}
}

// The way of two hosts, in and out again. Each step stands on those before it.
func TestIntegrationRole(t *testing.T) {
	f := newFleet(t)
	old, current := f.hosts[0], f.hosts[1]
	packaged := func(version string, more ...any) map[string]any {
		return with(more, "virt_mtu_install_method", "package_file", "virt_mtu_package_file", deb(t, version))
	}

	step(t, "absent where it never was changes nothing", func(t *testing.T) {
		f.want(t, f.deploy(t, packaged("1.0.0", "virt_mtu_state", "absent", "virt_mtu_undo", true)), false)
		f.wantAsBefore(t)
	})
	step(t, "check and diff show all and change nothing", func(t *testing.T) {
		r := f.deploy(t, packaged("1.0.0"), "--check", "--diff")
		f.want(t, r, true)
		for _, line := range []string{`"+      <mtu size='9000'/>"`, `+incapable = "refuse"`, "web1", "would install /etc/libvirt/hooks/qemu.d/50-virt-mtu"} {
			if n := strings.Count(r.Output, line); n < len(f.hosts) {
				t.Errorf("%q is there %d times\n%s", line, n, r.Output)
			}
		}
		f.wantAsBefore(t)
	})
	step(t, "a host that preflight stops is not changed, the other is deployed", func(t *testing.T) {
		define(t, old, "old1", "rtl8139")
		before := stateOf(t, old)
		r := f.deploy(t, packaged("1.0.0"))
		wantHost(t, r, old, stopped)
		wantHost(t, r, current, changed)
		for _, line := range []string{"model rtl8139 carries at most 1500, but bridge br0 has 9000", "virt_mtu_preflight: warn"} {
			if !strings.Contains(r.Output, line) {
				t.Errorf("it does not say %q:\n%s", line, r.Output)
			}
		}
		if diff := cmp.Diff(before, stateOf(t, old)); diff != "" {
			t.Errorf("%s is not as it was (-was +is):\n%s", old.Name, diff)
		}
		old.Run(t, "virsh", "-q", "undefine", "old1")
	})
	step(t, "deployed, and where it was deployed already nothing is changed", func(t *testing.T) {
		r := f.deploy(t, packaged("1.0.0"))
		wantHost(t, r, old, changed)
		wantHost(t, r, current, same)
		f.wantLibvirtdStays(t)
		for _, h := range f.hosts {
			if got := h.Run(t, "virt-mtu", "hook", "status"); !strings.Contains(got, "installed and loaded") {
				t.Errorf("%s: %s", h.Name, got)
			}
			h.Run(t, "systemctl", "is-active", "virt-mtu-watch.service")
			h.Run(t, "systemctl", "is-enabled", "virt-mtu-watch.service")
		}
	})
	step(t, "a guest boots at its MTU, and the admin's hooks run", func(t *testing.T) {
		for _, h := range f.hosts {
			if got := boot(t, h, "web1"); got != "9000" {
				t.Errorf("%s: it boots at %s", h.Name, got)
			}
			log := h.ReadFile(t, "/run/lab/hooks.log")
			for _, hook := range []string{"hooks/qemu", "hooks/qemu.d/10-admin"} {
				if !strings.Contains(log, hook+" web1 start begin") {
					t.Errorf("%s: %s has not run:\n%s", h.Name, hook, log)
				}
			}
			h.Run(t, "virsh", "-q", "destroy", "web1")
		}
	})
	step(t, "the next version, with a guest that runs", func(t *testing.T) {
		before := map[string]string{}
		for _, h := range f.hosts {
			before[h.Name] = guests(t, h)
		}
		f.want(t, f.deploy(t, packaged("1.1.0")), true)
		for _, h := range f.hosts {
			if got := h.Run(t, "virt-mtu", "--version"); !strings.Contains(got, "1.1.0") {
				t.Errorf("%s has %s", h.Name, got)
			}
			h.Run(t, "cmp", "/usr/sbin/virt-mtu-qemu-hook", "/etc/libvirt/hooks/qemu.d/50-virt-mtu")
			if diff := cmp.Diff(before[h.Name], guests(t, h)); diff != "" {
				t.Errorf("%s: guests were restarted:\n%s", h.Name, diff)
			}
		}
		f.wantLibvirtdStays(t)
	})
	step(t, "absent with undo leaves what was there, and absent again changes nothing", func(t *testing.T) {
		gone := packaged("1.1.0", "virt_mtu_state", "absent", "virt_mtu_undo", true)
		f.want(t, f.deploy(t, gone), true)
		f.wantAsBefore(t)
		f.want(t, f.deploy(t, gone), false)
	})
	step(t, "variables that are none are refused, and nothing is changed", func(t *testing.T) {
		r := f.deploy(t, f.each(
			with(nil, "virt_mtu_incapable", "shrug", "virt_mtu_rules", []any{}),
			with(nil, "virt_mtu_incapable", "refuse", "virt_mtu_rules", []any{map[string]any{"bridge": "br0"}})))
		for i, message := range []string{"value of virt_mtu_incapable must be one of: refuse, explicit, clamp, got: shrug", "missing required arguments: mtu found in virt_mtu_rules"} {
			wantHost(t, r, f.hosts[i], stopped)
			if tasks := r.Hosts[f.hosts[i].Name].Tasks; len(tasks) != 1 || !strings.Contains(tasks[0].Result, message) {
				t.Errorf("it does not say %q, alone: %+v", message, tasks)
			}
		}
	})
	step(t, "from a repository, and from the two programs", func(t *testing.T) {
		const mine = "# an admin's\nincapable = \"clamp\"\n"
		current.WriteFile(t, "/etc/virt-mtu/config.toml", mine, 0o644)
		key := repository(t, old, deb(t, "1.0.0"))
		vars := func(state string) map[string]any {
			return f.each(
				with(nil, "virt_mtu_state", state, "virt_mtu_install_method", "repository", "virt_mtu_repository_url", "file:///srv/debs",
					"virt_mtu_repository_key", key, "virt_mtu_repository_suite", "./", "virt_mtu_repository_components", []any{},
					"virt_mtu_binary_dir", "", "virt_mtu_service", "watch", "virt_mtu_fix", "none",
					"virt_mtu_metrics", false, "virt_mtu_textfile_dir", "", "virt_mtu_bridges", []any{}, "virt_mtu_network_role", ""),
				with(nil, "virt_mtu_state", state, "virt_mtu_install_method", "binary", "virt_mtu_repository_url", "",
					"virt_mtu_repository_key", "", "virt_mtu_repository_suite", "", "virt_mtu_repository_components", []any{},
					"virt_mtu_binary_dir", programs.Dir(t), "virt_mtu_service", "fix", "virt_mtu_fix", "all",
					"virt_mtu_metrics", true, "virt_mtu_textfile_dir", "/srv/metrics", "virt_mtu_bridges", bridges, "virt_mtu_network_role", "records_network"))
		}
		f.want(t, f.deploy(t, vars("present")), true)
		f.want(t, f.deploy(t, vars("present")), false)
		f.wantLibvirtdStays(t)
		for _, h := range f.hosts {
			if got := h.Run(t, "virt-mtu", "hook", "status"); !strings.Contains(got, "installed and loaded") {
				t.Errorf("%s: %s", h.Name, got)
			}
		}
		if got := old.Run(t, "dpkg-query", "-W", "virt-mtu"); !strings.Contains(got, "1.0.0") {
			t.Errorf("%s has %s", old.Name, got)
		}
		if got := definition(t, current, "web1"); !strings.Contains(got, "<mtu size='9000'/>") {
			t.Errorf("web1 was not fixed:\n%s", got)
		}
		if got := current.Run(t, "bash", "-c", "cat /etc/virt-mtu/config.toml.*~"); got != mine {
			t.Errorf("the admin's config is kept as %q", got)
		}
		current.Run(t, "systemctl", "is-active", "virt-mtu-fix.path", "virt-mtu-fix.timer", "virt-mtu-check.timer")
		current.Run(t, "systemctl", "start", "virt-mtu-check.service")
		if got := current.ReadFile(t, "/srv/metrics/virt-mtu.prom"); !strings.Contains(got, "virt_mtu_check_status ") {
			t.Errorf("metrics:\n%s", got)
		}
		if diff := cmp.Diff(connections, parse(t, current.ReadFile(t, "/run/lab/network.json"))); diff != "" {
			t.Errorf("what the network role is given (-want +got):\n%s", diff)
		}

		f.want(t, f.deploy(t, vars("absent")), true)
		f.want(t, f.deploy(t, vars("absent")), false)
		for _, h := range f.hosts {
			left := h.Try(t, "find", "/etc/apt", "/etc/systemd", "/etc/libvirt/hooks", "/usr", "/run/virt-mtu", "/srv/metrics", "-name", "*virt-mtu*").Stdout
			if left != "" {
				t.Errorf("%s has left:\n%s", h.Name, left)
			}
		}
		f.wantLibvirtdStays(t)
	})
}

// bridges are what virt_mtu_bridges has, connections what comes of it: by the
// documentation of linux-system-roles.network, a profile of each, a bridge before its ports,
// which have a controller and no ip.
var bridges = []any{map[string]any{
	"name": "br0", "mtu": 9000, "ip": map[string]any{"address": []any{"192.0.2.1/24"}, "dhcp4": false},
	"uplinks": []any{
		map[string]any{"name": "eno1"},
		map[string]any{"name": "bond0", "type": "bond", "options": map[string]any{"bond": map[string]any{"mode": "802.3ad"}}},
	},
}}

var connections = []any{
	map[string]any{"name": "br0", "type": "bridge", "interface_name": "br0", "state": "up", "mtu": 9000.0,
		"ip": map[string]any{"address": []any{"192.0.2.1/24"}, "dhcp4": false}},
	map[string]any{"name": "eno1", "type": "ethernet", "interface_name": "eno1", "state": "up", "mtu": 9000.0,
		"controller": "br0", "port_type": "bridge"},
	map[string]any{"name": "bond0", "type": "bond", "interface_name": "bond0", "state": "up", "mtu": 9000.0,
		"controller": "br0", "port_type": "bridge", "bond": map[string]any{"mode": "802.3ad"}},
}

func parse(t testing.TB, text string) (v any) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	return v
}

// each is variables that every host has its own values of, in the order of the hosts.
func (f *fleet) each(vars ...map[string]any) map[string]any {
	m, values := map[string]any{}, map[string]any{}
	for i, h := range f.hosts {
		values[h.Name] = vars[i]
		for name := range vars[i] {
			m[name] = "{{ of_host[inventory_hostname]." + name + " }}"
		}
	}
	m["of_host"] = values
	return m
}

// with is variables: names and values in turn.
func with(more []any, vars ...any) map[string]any {
	m := map[string]any{}
	for pair := range slices.Chunk(slices.Concat(vars, more), 2) {
		m[pair[0].(string)] = pair[1]
	}
	return m
}

// What becomes of a host in a play.
const (
	changed = "changed"
	same    = "same"
	stopped = "stopped, unchanged"
)

func outcome(r Recap) string {
	switch {
	case r.Failed == 1 && r.Changed == 0:
		return stopped
	case r.Failed != 0 || r.OK == 0:
		return "failed"
	case r.Changed > 0:
		return changed
	}
	return same
}

func wantHost(t testing.TB, r Result, h *container.Container, want string) {
	t.Helper()
	if got := outcome(r.Hosts[h.Name]); got != want {
		t.Fatalf("%s: %s, want %s\n%s", h.Name, got, want, r.Output)
	}
}

// step is a subtest without which those after it make no sense.
func step(t *testing.T, name string, f func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, f) {
		t.FailNow()
	}
}

// guests are the processes of the guests that run.
func guests(t testing.TB, h *container.Container) string {
	t.Helper()
	return h.Run(t, "pgrep", "--list-full", "qemu-system")
}
