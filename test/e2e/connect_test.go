package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// apart is two hosts with a domain of one name, which runs, on a bridge of one name: at
// 1500 here, at 9000 there, where its tap has been lowered.
type apart struct{ here, there *lab.Host }

const (
	bySSH = "qemu+ssh://root@" + thereAddr + "/system"
	byTCP = "qemu+tcp://" + thereAddr + "/system"
)

func newApart(t *testing.T) *apart {
	t.Helper()
	a := &apart{lab.New(t), lab.New(t)}
	cable(t, a.here, a.there)
	sshd(t, a.here, a.there)
	a.here.Libvirtd(t, "start")
	a.there.Libvirtd(t, "start", "--listen")
	a.here.Bridge(t, "br0", 1500)
	a.there.Bridge(t, "br0", 9000)
	for _, h := range []*lab.Host{a.here, a.there} {
		define(t, h, "web1", nic("virtio", 0))
		start(t, h, "web1")
	}
	a.there.Run(t, "ip", "link", "set", tapOf(t, a.there, "web1"), "mtu", "1500")
	return a
}

// its puts virt-mtu on the host there, for who comes by ssh; by a script, if there is one.
func (a *apart) its(t *testing.T, script string) {
	t.Helper()
	a.there.WriteFile(t, remoteBin+"/virt-mtu", "#!/bin/bash\n"+cmpOr(script, "exec "+bin(t, "virt-mtu")+` "$@"`)+"\n", 0o755)
	t.Cleanup(func() { a.there.Run(t, "rm", "-f", remoteBin+"/virt-mtu") })
}

// kept checks that nothing has changed that is not to: what is here, and the links there.
func (a *apart) kept(t *testing.T) {
	t.Helper()
	if xml := persistent(t, a.here, "web1"); strings.Contains(xml, "<mtu ") || strings.Contains(xml, "virt-mtu") {
		t.Errorf("the domain here was changed:\n%s", xml)
	}
	for _, x := range []struct {
		h    *lab.Host
		link string
		mtu  int
	}{{a.here, tapOf(t, a.here, "web1"), 1500}, {a.here, "br0", 1500}, {a.there, tapOf(t, a.there, "web1"), 1500}, {a.there, "br0", 9000}} {
		if got := x.h.MTU(t, x.link); got != x.mtu {
			t.Errorf("%s of %s is at %d, was at %d", x.link, x.h.Name, got, x.mtu)
		}
	}
	if a.here.Try(t, "ls", "-d", "/run/virt-mtu").Exit == 0 {
		t.Error("there is a /run/virt-mtu here")
	}
}

func TestIntegrationConnect(t *testing.T) {
	t.Parallel()
	a := newApart(t)
	name := hostname(t, a.there)

	t.Run("check says what it says there", func(t *testing.T) {
		a.its(t, "")
		for _, args := range [][]string{{"check"}, {"check", "-o", "json", "web1"}} {
			there := virtMTU(t, a.there, args...)
			here := virtMTU(t, a.here, slices.Concat(args, []string{"--connect", bySSH})...)
			wantSame(t, strings.Join(args, " "), there.Stdout, here.Stdout)
			if here.Exit != there.Exit || here.Stderr != "" {
				t.Errorf("%q: exit %d, there %d\n%s", args, here.Exit, there.Exit, here.Stderr)
			}
		}
		wantSame(t, "facts", must(t, a.there, "facts"), must(t, a.here, "facts", "--connect", bySSH))
		r := a.here.Try(t, "env", "LIBVIRT_DEFAULT_URI="+bySSH, bin(t, "virt-mtu"), "check", "web1")
		wantSays(t, "by the environment", r.Stdout, name, "tap-below-bridge")
	})

	t.Run("check by its libvirt alone", func(t *testing.T) {
		for _, uri := range []string{bySSH, byTCP} {
			r := virtMTU(t, a.here, "check", "--connect", uri)
			wantSays(t, uri, r.Stdout, name+": ", "web1 (running)", "guest-not-told", "bridge br0 has 9000", "what MTU tap "+tapOf(t, a.there, "web1")+" has is not known")
			if strings.Contains(r.Stdout, "tap-below-bridge") || strings.Contains(r.Stdout, "hook-") {
				t.Errorf("it says what libvirt does not tell:\n%s", r.Stdout)
			}
		}
		r := virtMTU(t, a.here, "check", "--connect", byTCP, "web1", "nope")
		wantSays(t, "stderr", r.Stderr, "no domain nope on "+name)
		if r.Exit == 0 {
			t.Error("exit 0 with a domain that is not there")
		}
		a.here.WriteFile(t, "/run/lab/x.xml", persistent(t, a.here, "web1"), 0o644)
		r = virtMTU(t, a.here, "check", "--connect", byTCP, "--xml", "/run/lab/x.xml")
		wantSays(t, "--xml", r.Stdout, name+": ", "bridge br0 has 9000")
		m, r := migration(t, a.here, "--connect", byTCP, "--migrate-to", "qemu+unix:///system?socket=/run/libvirt/libvirt-sock", "web1")
		if len(m.Moves) != 1 || m.Moves[0].From != name || m.Moves[0].To != hostname(t, a.here) || m.Moves[0].Verdict != "yes" {
			t.Errorf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
	})

	for _, by := range []struct{ name, uri, script string }{{"fix by its virt-mtu", bySSH, ""}, {"fix by its libvirt alone", byTCP, "none"}} {
		t.Run(by.name, func(t *testing.T) {
			if by.script == "" {
				a.its(t, "")
			}
			definition := func() string { // libvirt keeps the element
				return strings.Replace(persistent(t, a.there, "web1"), "  <metadata/>\n", "", 1)
			}
			before := definition()
			r := virtMTU(t, a.here, "fix", "--connect", by.uri, "--dry-run", "--diff", "web1")
			wantSays(t, "a dry run", r.Stdout, "would change", "+      <mtu size='9000'/>")
			wantSame(t, "after a dry run", before, definition())
			r = virtMTU(t, a.here, "fix", "--connect", by.uri, "web1")
			wantSays(t, "fix", r.Stdout, "web1 (running): changed", "inject: mtu none -> 9000 (bridge br0 has 9000)",
				"tap "+tapOf(t, a.there, "web1")+" left as it is: it is set on the host that it is on: virt-mtu fix web1 on "+thereAddr, "waits for a cold start")
			wantSays(t, "the definition there", persistent(t, a.there, "web1"), "<mtu size='9000'/>", "urn:virt-mtu:owned:1")
			a.kept(t)
			if got := fixed(t, a.here, "--connect", by.uri, "--all"); got.Action != "none" || got.Current != 9000 || got.Pending != "cold-start" {
				t.Errorf("again: %+v", got)
			}
			if got := fixed(t, a.here, "--connect", by.uri, "--undo", "web1"); got.Action != "remove" {
				t.Errorf("undo: %+v", got)
			}
			wantSame(t, "after undo", before, definition())
			a.kept(t)
		})
	}

	t.Run("by a user who is not root", func(t *testing.T) {
		a.here.Run(t, "bash", "-euc", "install -o 65534 -m 600 /run/lab/home/.ssh/id_ed25519 /run/lab/key; chmod 755 /run/lab")
		cmd := []string{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", bin(t, "virt-mtu"), "fix", "--connect", bySSH + "?keyfile=/run/lab/key&no_verify=1", "web1"}
		if r := a.here.Try(t, cmd...); r.Exit != 0 || !hasMTU(persistent(t, a.there, "web1"), "9000") {
			t.Errorf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		must(t, a.here, "fix", "--connect", byTCP, "--undo", "web1")
		a.kept(t)
	})

	t.Run("its config counts", func(t *testing.T) {
		configure(t, a.there, "[[rule]]\ndomain = 'web*'\nmtu = 4000")
		defer a.there.Run(t, "rm", config)
		a.its(t, "")
		if got := fixed(t, a.here, "--connect", bySSH, "--dry-run", "web1"); got.Target != 4000 {
			t.Errorf("%+v", got)
		}
		wantSame(t, "check", virtMTU(t, a.there, "check").Stdout, virtMTU(t, a.here, "check", "--connect", bySSH).Stdout)
		configure(t, a.there, "mtu = [")
		r := virtMTU(t, a.here, "fix", "--connect", bySSH, "web1")
		wantSays(t, "a broken one", r.Stderr, `read config "/etc/virt-mtu/config.toml"`)
		if r.Exit != 1 || hasMTU(persistent(t, a.there, "web1"), "9000") {
			t.Errorf("exit %d", r.Exit)
		}
	})

	t.Run("what libvirt does not tell is passed over", func(t *testing.T) {
		a.there.Uplink(t, "br0", "up0", 9000)
		defer a.there.Run(t, "ip", "link", "del", "up0")
		if got := fixed(t, a.here, "--connect", byTCP, "web1"); got.Action != "skip" || got.Target != 0 || !strings.Contains(got.Reason, "not known") {
			t.Errorf("%+v", got)
		}
		if got := fixed(t, a.here, "--connect", byTCP, "--mtu", "8000", "web1"); got.Action != "inject" || got.Target != 8000 {
			t.Errorf("%+v", got)
		}
		must(t, a.here, "fix", "--connect", byTCP, "--undo", "web1")
	})

	t.Run("a network", func(t *testing.T) {
		a.there.WriteFile(t, "/run/lab/own.xml", "<network><name>own</name><forward mode='open'/><bridge name='virbr7'/>"+
			"<dns enable='no'/><ip address='192.0.2.65' prefix='28'/></network>", 0o644)
		a.there.Run(t, "bash", "-euc", "virsh -q net-define /run/lab/own.xml; virsh -q net-start own")
		r := virtMTU(t, a.here, "fix", "--connect", byTCP, "--network", "own", "--mtu", "9000")
		wantSays(t, "fix --network", r.Stdout, "network own (active): changed", "inject: mtu none -> 9000",
			"bridge virbr7 left as it is: it is set on the host that it is on: virt-mtu fix --network own --mtu 9000 on "+thereAddr)
		wantSays(t, "its definition", a.there.Run(t, "virsh", "net-dumpxml", "--inactive", "own"), "<mtu size='9000'/>")
		if got := a.there.MTU(t, "virbr7"); got != 1500 {
			t.Errorf("virbr7 is at %d", got)
		}
		must(t, a.here, "fix", "--connect", byTCP, "--undo", "--network", "own")
		if xml := a.there.Run(t, "virsh", "net-dumpxml", "--inactive", "own"); strings.Contains(xml, "<mtu ") {
			t.Errorf("not undone:\n%s", xml)
		}
		a.there.Run(t, "bash", "-euc", "virsh -q net-destroy own; virsh -q net-undefine own")
	})
	a.kept(t)
}

// What may be at the other end.
func TestIntegrationConnectFails(t *testing.T) {
	t.Parallel()
	a := newApart(t)
	before := persistent(t, a.there, "web1")
	const facts = `{"version":1,"host":"%s","links":[{"name":"br0","kind":"bridge","mtu":9000}],` +
		`"domains":[{"name":"web1%s","uuid":"11111111-2222-3333-4444-555555555555","state":"running","live_xml":"<domain/>"}]}`
	hostile := strings.NewReplacer("%s", `\u001b[31mkvm9\r\nok\u009b`).Replace(facts)
	for _, tt := range []struct {
		name, virtmtu, uri string
		freeze             bool
		says               []string
	}{
		{name: "no sshd", uri: "qemu+ssh://root@" + thereAddr + ":1/system", says: []string{"exit status 255", "hint: try what it does"}},
		{name: "nobody listens", uri: "qemu+tcp://" + thereAddr + ":1/system", says: []string{"connection refused", "hint: nothing listens there"}},
		{name: "its libvirt hangs", uri: byTCP, freeze: true, says: []string{"did not answer within 2s", "hint: see whether that host is well"}},
		{name: "its virt-mtu hangs, and its libvirt", virtmtu: "exec sleep 1000", freeze: true, says: []string{"did not answer within 4s", "did not answer within 2s"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.virtmtu != "" {
				a.its(t, tt.virtmtu)
			}
			if tt.freeze {
				a.there.Libvirtd(t, "freeze")
				defer a.there.Libvirtd(t, "thaw")
			}
			for command, exit := range map[string]int{"check": 3, "fix": 1} {
				args := []string{command, "--timeout", "2s", "--connect", cmpOr(tt.uri, bySSH), "web1"}
				began := time.Now()
				r := virtMTU(t, a.here, args...)
				if r.Exit != exit || time.Since(began) > time.Minute {
					t.Errorf("%s: exit %d after %v", command, r.Exit, time.Since(began))
				}
				wantSays(t, command, r.Stderr, tt.says...)
				if r.Stdout != "" {
					t.Errorf("%s has something to say:\n%s", command, r.Stdout)
				}
			}
			if left := a.here.Try(t, "pgrep", "-x", "-a", "ssh"); left.Stdout != "" {
				t.Errorf("left behind: %s", left.Stdout)
			}
		})
	}

	t.Run("it says what it likes", func(t *testing.T) {
		a.its(t, "echo '"+hostile+"'")
		for _, args := range [][]string{{"check"}, {"fix", "--dry-run", "web1"}, {"check", "--migrate-to", byTCP}} {
			r := virtMTU(t, a.here, slices.Concat(args, []string{"--connect", bySSH})...)
			if strings.ContainsAny(r.Stdout+r.Stderr, "\x1b\r\u009b") {
				t.Errorf("%q: %q %q", args, r.Stdout, r.Stderr)
			}
			for line := range strings.Lines(r.Stdout) {
				if strings.HasPrefix(line, "ok") {
					t.Errorf("%q: a line of its own: %q", args, r.Stdout)
				}
			}
		}
	})
	wantSame(t, "the definition there", before, persistent(t, a.there, "web1"))
	a.kept(t)
}
