package packaging

import (
	"bufio"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/state"
)

// unit is a unit file: the values of each key, whose name has its section before it.
type unit map[string][]string

func readUnit(t *testing.T, path string) unit {
	t.Helper()
	u, section := unit{}, ""
	for lines := bufio.NewScanner(strings.NewReader(read(t, path))); lines.Scan(); {
		line := lines.Text()
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			section = strings.Trim(line, "[]")
			continue
		}
		key, value, ok := strings.Cut(line, "=")
		if !ok {
			t.Fatalf("%s: %q is no assignment", path, line)
		}
		u[section+"."+key] = append(u[section+"."+key], value)
	}
	return u
}

// A key that systemd does not know, a program that is not there: systemd only warns of
// them, here they fail. The tree stands for a host on which virt-mtu is installed.
func TestUnitsVerify(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	tree := t.TempDir()
	lib := filepath.Join(tree, "usr/lib/systemd/system")
	for _, dir := range []string{lib, filepath.Join(tree, "usr/bin"), filepath.Join(tree, "bin")} {
		must(t, os.MkdirAll(dir, 0o755))
	}
	for _, program := range []string{"usr/bin/virt-mtu", "bin/kill", "bin/sh"} {
		must(t, os.WriteFile(filepath.Join(tree, program), []byte("#!/bin/sh\n"), 0o755))
	}
	for _, target := range []string{"sysinit", "basic", "shutdown", "multi-user", "paths", "timers"} {
		must(t, os.WriteFile(filepath.Join(lib, target+".target"), []byte("[Unit]\nDescription="+target+"\n"), 0o644))
	}
	args := []string{"verify", "--man=no", "--root=" + tree}
	for _, path := range files(t, units) {
		must(t, os.WriteFile(filepath.Join(lib, filepath.Base(path)), []byte(read(t, path)), 0o644))
		args = append(args, filepath.Base(path))
	}
	if out := run(t, analyze, args...); out != "" {
		t.Error(out)
	}
}

// 30 is an exposure of 3.0, of 10.
func TestUnitsSecurity(t *testing.T) {
	analyze := tool(t, "systemd-analyze")
	for _, path := range files(t, "*.service") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			out := run(t, analyze, "security", "--offline=true", "--threshold=30", "--no-pager", path)
			lines := strings.Split(strings.TrimSpace(out), "\n")
			t.Log(lines[len(lines)-1])
		})
	}
}

// virt-mtu never starts, stops or restarts a daemon, and neither do its units.
func TestUnitsLeaveOthersAlone(t *testing.T) {
	for _, path := range files(t, units) {
		for key, values := range readUnit(t, path) {
			switch key {
			case "Unit.Wants", "Unit.Requires", "Unit.Requisite", "Unit.BindsTo", "Unit.PartOf", "Unit.Upholds", "Unit.Conflicts",
				"Unit.PropagatesReloadTo", "Unit.PropagatesStopTo", "Unit.OnFailure", "Unit.OnSuccess", "Unit.JoinsNamespaceOf",
				"Install.Also", "Install.RequiredBy", "Install.UpheldBy":
				t.Errorf("%s: %s=%s", path, key, values)
			}
		}
	}
}

// The hook keeps its state in the same folder, and refuses one that is not root's alone.
func TestUnitsKeepTheState(t *testing.T) {
	const queue = state.DefaultBase + "/queue"
	name := strings.TrimPrefix(state.DefaultBase, "/run/")
	for _, service := range []string{"virt-mtu-watch.service", "virt-mtu-fix.service"} {
		u := readUnit(t, filepath.Join(systemd, service))
		got := []string{}
		for _, key := range []string{"RuntimeDirectory", "RuntimeDirectoryMode", "RuntimeDirectoryPreserve"} {
			got = append(got, u["Service."+key]...)
		}
		if diff := cmp.Diff([]string{name, "0700", "yes"}, got); diff != "" {
			t.Errorf("%s: -want +got:\n%s", service, diff)
		}
		for _, key := range []string{"User", "Group", "DynamicUser"} {
			if values := u["Service."+key]; values != nil {
				t.Errorf("%s: %s=%s", service, key, values)
			}
		}
	}
	fix := readUnit(t, filepath.Join(systemd, "virt-mtu-fix.service"))
	if diff := cmp.Diff([]string{queue}, fix["Unit.ConditionDirectoryNotEmpty"]); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
	path := readUnit(t, filepath.Join(systemd, "virt-mtu-fix.path"))
	delete(path, "Unit.Description")
	delete(path, "Unit.Documentation")
	delete(path, "Install.WantedBy")
	// Nothing but PathChanged: the others look at what is there, and start without end.
	want := unit{"Path.PathChanged": {queue}, "Path.MakeDirectory": {"yes"}, "Path.DirectoryMode": {"0700"}}
	if diff := cmp.Diff(want, path); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// One sandbox, and what a service has to have otherwise.
func TestUnitsShareASandbox(t *testing.T) {
	sandbox := func(name string) unit {
		u := readUnit(t, filepath.Join(systemd, name))
		maps.DeleteFunc(u, func(key string, _ []string) bool {
			section, key, _ := strings.Cut(key, ".")
			return section != "Service" || strings.HasPrefix(key, "Exec") || strings.HasPrefix(key, "Restart") ||
				strings.HasPrefix(key, "RuntimeDirectory") || slices.Contains([]string{
				"Type", "NotifyAccess", "WatchdogSec", "TimeoutStartSec", "SuccessExitStatus", "Nice"}, key)
		})
		return u
	}
	for name, other := range map[string]unit{
		"virt-mtu-fix.service": {},
		"virt-mtu-check.service": {
			"Service.UMask":          {"0022"},
			"Service.ReadWritePaths": {"-/var/lib/prometheus/node-exporter"},
		},
	} {
		want := sandbox("virt-mtu-watch.service")
		want["Service.RestrictAddressFamilies"] = []string{"AF_UNIX AF_NETLINK"} // they listen nowhere
		delete(want, "Service.IPAddressAllow")
		maps.Copy(want, other)
		if diff := cmp.Diff(want, sandbox(name)); diff != "" {
			t.Errorf("%s: -want +got:\n%s", name, diff)
		}
	}
}

// The command takes what the units give it.
func TestUnitsSpeakToTheCommand(t *testing.T) {
	command := filepath.Join(t.TempDir(), "virt-mtu")
	run(t, "go", "build", "-o", command, "virt-mtu/cmd/virt-mtu")
	for _, path := range files(t, "*.service") {
		t.Run(filepath.Base(path), func(t *testing.T) {
			for _, line := range readUnit(t, path)["Service.ExecStart"] {
				args := strings.Fields(line)
				if args[0] != "/usr/bin/virt-mtu" {
					t.Fatalf("it starts %s", args[0])
				}
				// Flags are read before --help is heeded.
				if out := run(t, command, append(args[1:], "--help")...); !strings.Contains(out, "virt-mtu "+args[1]+" [") {
					t.Errorf("no help on %s:\n%s", args[1], out)
				}
			}
		})
	}
}
