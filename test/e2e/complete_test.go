package e2e

import (
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/test/lab"
	"virt-mtu/test/machine"
)

// In each shell, on a host with a real libvirtd: its domains and networks, the words of
// flags, files. And nothing, not even an error, where libvirt does not answer.
func TestIntegrationCompletion(t *testing.T) {
	t.Parallel()
	for _, shell := range []string{"bash", "zsh", "fish"} {
		if _, err := exec.LookPath(shell); err != nil {
			machine.Need(t, "completion needs "+shell+": see hack/packages.txt")
		}
	}
	h := lab.New(t)
	dir := filepath.Dir(bin(t, "virt-mtu"))
	driver, err := filepath.Abs("testdata/press-tab.zsh")
	if err != nil {
		t.Fatal(err)
	}
	h.Run(t, "mkdir", "/run/complete")
	for _, shell := range []string{"bash", "zsh", "fish"} {
		h.WriteFile(t, "/run/complete/"+shell, must(t, h, "completion", shell), 0o644)
	}
	h.WriteFile(t, "/run/complete/facts.json", "{}", 0o644)
	// in is what each line becomes by Tab.
	in := func(shell string, lines ...string) []string {
		t.Helper()
		args := []string{driver, shell, "/run/complete/" + shell}
		if shell == "fish" {
			// Before a tab is what it would insert, behind it what it says about that.
			args = []string{"fish", "--no-config", "-c", `source $argv[1]; for l in $argv[2..]; echo (complete -C $l | cut -f 1); end`, "/run/complete/fish"}
		}
		args = slices.Concat([]string{"env", "-C", "/run/complete", "HOME=/run/complete", "PATH=" + dir + ":/usr/sbin:/usr/bin:/sbin:/bin"}, args, lines)
		r := h.Try(t, args...)
		if r.Exit != 0 || strings.Contains(r.Stderr, "virt-mtu:") {
			t.Fatalf("%s: exit %d\n%s%s", shell, r.Exit, r.Stdout, r.Stderr)
		}
		got := strings.Split(strings.TrimSuffix(r.Stdout, "\n"), "\n")
		for i := range got {
			got[i] = strings.TrimSpace(got[i])
		}
		return got
	}

	// Without a daemon: what is typed, and no more.
	for shell, want := range map[string]string{"bash": "virt-mtu fix we", "zsh": "virt-mtu fix we", "fish": ""} {
		if diff := cmp.Diff([]string{want}, in(shell, "virt-mtu fix we")); diff != "" {
			t.Errorf("%s without libvirtd: %s", shell, diff)
		}
	}

	h.Bridge(t, "br0", 9000)
	h.Libvirtd(t, "start")
	for _, name := range []string{"web1", "app1", "app 2", "$(reboot)"} {
		h.Define(t, strings.Replace(h.Domain(t, "NAME", ""), "<name>NAME</name>", "<name>"+name+"</name>", 1))
	}
	h.WriteFile(t, "/run/net.xml", "<network><name>storage</name><bridge name='virbr7'/></network>", 0o644)
	h.Run(t, "virsh", "-q", "net-define", "/run/net.xml")
	lines := []struct{ begun, word string }{
		{"virt-mtu fix we", "web1"},
		{"virt-mtu fix app", "app1"}, // and no name that a shell would take apart
		{"virt-mtu check web1 ap", "app1"},
		{"virt-mtu fix --network st", "storage"},
		{"virt-mtu check -o prom", "prometheus"},
		{"virt-mtu check --facts fac", "facts.json"},
		{"virt-mtu calc --underlay 1500 vx", "vxlan"},
		{"virt-mtu hook uninst", "uninstall"},
	}
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var begun, want []string
		for _, l := range lines {
			whole := l.begun[:strings.LastIndexByte(l.begun, ' ')+1] + l.word
			if shell == "fish" {
				whole = l.word
			}
			begun, want = append(begun, l.begun), append(want, whole)
		}
		if diff := cmp.Diff(want, in(shell, begun...)); diff != "" {
			t.Errorf("%s: %s", shell, diff)
		}
	}
}
