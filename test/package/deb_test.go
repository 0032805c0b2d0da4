package pkg

import (
	"strings"
	"testing"

	"virt-mtu/test/container"
)

// The life of the package on a host with a guest that runs all the while: nothing of it
// touches the guest or restarts libvirt, and it leaves nothing behind.
func TestIntegrationDeb(t *testing.T) {
	for _, release := range []string{"bookworm", "trixie"} {
		t.Run(release, func(t *testing.T) { lifeOfDeb(t, host(t, release)) })
	}
}

func lifeOfDeb(t *testing.T, c *container.Container) {
	const users = "#!/bin/sh\ncat >/dev/null\necho \"$0 $2\" >>/run/lab/users\n"
	c.WriteFile(t, "/etc/libvirt/hooks/qemu", users, 0o755)
	c.WriteFile(t, "/etc/libvirt/hooks/qemu.d/10-mine", users, 0o755)
	c.Run(t, "systemctl", "reload", "libvirtd.service")
	mine := executables(t, c)
	starts := func(domain string) {
		t.Helper()
		if r := c.Try(t, "virsh", "-q", "start", domain); r.Exit != 0 {
			t.Errorf("%s does not start: %s", domain, r.Stderr)
			return
		}
		c.Run(t, "virsh", "-q", "destroy", domain)
	}
	define(t, c, "web1", "virtio")
	define(t, c, "web2", "e1000")
	c.Run(t, "virsh", "-q", "start", "web1")
	before := pids(t, c)
	undisturbed := func(when string) {
		t.Helper()
		if now := pids(t, c); now != before {
			t.Errorf("%s: pids of libvirtd and guest were %q, are %q", when, before, now)
		}
	}

	t.Log("installed: nothing is in force")
	said := c.Run(t, "dpkg", "-i", "/root/"+deb(versions[0]))
	if !strings.Contains(said, "virt-mtu hook install") {
		t.Errorf("it does not say how to go on: %s", said)
	}
	if got := executables(t, c); got != mine {
		t.Errorf("it installs hooks by itself: %s", got)
	}
	enabled := func() string {
		t.Helper()
		// systemctl fails where it finds none, by its version.
		r := c.Try(t, "systemctl", "list-unit-files", "--no-legend", "--no-pager", "--state=enabled", "virt-mtu-*")
		return r.Stdout + r.Stderr
	}
	if got := enabled(); got != "" {
		t.Errorf("it enables services by itself: %s", got)
	}
	if got := c.Run(t, "dpkg-query", "-W", "-f", "${Conffiles}", "virt-mtu"); !strings.Contains(got, config) || strings.Contains(got, "hooks") {
		t.Errorf("conffiles: %s", got)
	}
	undisturbed("after installation")

	t.Log("in force")
	c.Run(t, "virt-mtu", "hook", "install")
	c.Run(t, "systemctl", "--quiet", "enable", "--now", watch, "virt-mtu-fix.path")
	active(t, c, watch, true)
	if got := enabled(); strings.Count(got, "virt-mtu-") != 2 {
		t.Errorf("two are enabled, and these are seen: %s", got)
	}
	daemon := c.Run(t, "systemctl", "show", "--property=MainPID", "--value", watch)
	c.Run(t, "bash", "-c", "echo '# mine' >>"+config)
	edited := c.Run(t, "cat", config)
	starts("web2")

	t.Log("upgraded")
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[1]))
	undisturbed("after the upgrade")
	if !same(t, c, hook, program) {
		t.Error("the hook is not that of the new version")
	}
	active(t, c, watch, true)
	if now := c.Run(t, "systemctl", "show", "--property=MainPID", "--value", watch); now == daemon {
		t.Error("the daemon is still the old version")
	}
	if got := c.Run(t, "cat", config); got != edited {
		t.Errorf("the config that somebody edited is now:\n%s", got)
	}
	if got := c.Run(t, "virt-mtu", "hook", "status"); !strings.Contains(got, "installed and loaded") {
		t.Errorf("hook status: %s", got)
	}

	t.Log("half an upgrade, in both directions: files without their scripts")
	for _, v := range versions {
		c.Run(t, "dpkg", "--unpack", "/root/"+deb(v))
		starts("web2")
		undisturbed("half upgraded")
	}
	// Killed in the middle of its script.
	c.Run(t, "bash", "-c", "sed -i '2i kill -9 $$' /var/lib/dpkg/info/virt-mtu.postinst")
	if r := c.Try(t, "dpkg", "--configure", "virt-mtu"); r.Exit == 0 {
		t.Fatal("the script was not killed")
	}
	starts("web2")
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[1]))
	if !same(t, c, hook, program) {
		t.Error("the hook is not that of the version that was installed at last")
	}

	t.Log("a link that leads nowhere in the hook's place")
	c.Run(t, "ln", "-sfn", "/nowhere", hook)
	starts("web2")
	undisturbed("with the link")
	c.Run(t, "rm", hook)
	c.Run(t, "virt-mtu", "hook", "install")

	t.Log("a downgrade under a config that is broken, and an upgrade that fails")
	c.WriteFile(t, config, "nonsense = 1\n", 0o644)
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[0]))
	c.WriteFile(t, config, edited, 0o644)
	if !same(t, c, hook, program) {
		t.Error("the hook is not that of the older version")
	}
	starts("web2")
	c.Run(t, "bash", "-c", `cd /root && dpkg-deb -R "$0" broken && printf '#!/bin/sh\nexit 1\n' >broken/DEBIAN/preinst &&
		chmod 755 broken/DEBIAN/preinst && dpkg-deb -Znone -b broken broken.deb`, deb(versions[1]))
	if r := c.Try(t, "dpkg", "-i", "/root/broken.deb"); r.Exit == 0 {
		t.Error("that did not fail")
	}
	if got := c.Run(t, "dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "virt-mtu"); got != versions[0]+"-1 installed" {
		t.Errorf("after it: %s", got)
	}
	if !same(t, c, hook, program) {
		t.Error("the hook is not that of the version that is there")
	}
	active(t, c, watch, true)
	undisturbed("after an upgrade that failed")

	t.Log("upgraded while libvirt sleeps behind its socket")
	c.Run(t, "systemctl", "stop", "virt-mtu-watch.service", "libvirtd.service")
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[1]))
	c.Run(t, "mkdir", "-p", "/var/lib/prometheus/node-exporter")
	c.Run(t, "systemctl", "start", "virt-mtu-check.service")
	if got := c.ReadFile(t, "/var/lib/prometheus/node-exporter/virt-mtu.prom"); !strings.Contains(got, "virt_mtu_") {
		t.Errorf("the metrics: %s", got)
	}
	if r := c.Try(t, "systemctl", "is-active", "libvirtd.socket", "libvirtd.service"); r.Stdout != "active\ninactive\n" {
		t.Errorf("its socket and the daemon are now: %s", r.Stdout)
	}
	if !same(t, c, hook, program) {
		t.Error("the hook is not that of the new version")
	}
	c.Run(t, "systemctl", "start", "libvirtd.service", "virt-mtu-watch.service")
	before = pids(t, c)
	starts("web2")

	t.Log("removed")
	r := c.Try(t, "dpkg", "-r", "virt-mtu")
	if r.Exit != 0 || !strings.Contains(r.Stdout, "keep the <mtu>") {
		t.Errorf("exit %d: %s%s", r.Exit, r.Stdout, r.Stderr)
	}
	if got := executables(t, c); got != mine {
		t.Errorf("libvirt would run %s", got)
	}
	active(t, c, watch, false)
	starts("web2")
	undisturbed("after removal")
	if !c.Exists(config) {
		t.Error("removal takes the config, which is for purge")
	}

	t.Log("somebody else's hook in its place, which looks like ours to a careless eye")
	theirs := users + "# virt-mtu/cmd/qemu-hook\n"
	c.WriteFile(t, hook, theirs, 0o755)
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[0]))
	c.Run(t, "dpkg", "-r", "virt-mtu")
	if got := c.ReadFile(t, hook); got != theirs {
		t.Error("it is changed")
	}
	c.Run(t, "rm", hook)

	t.Log("installed again, removed with a broken program, purged")
	c.Run(t, "dpkg", "-i", "/root/"+deb(versions[1]))
	if got := enabled(); got != "" {
		t.Errorf("it enables again what removal has disabled: %s", got)
	}
	c.Run(t, "virt-mtu", "hook", "install")
	rpmScripts(t, c)
	undisturbed("after rpm's scripts")
	c.Run(t, "virt-mtu", "hook", "install")
	c.WriteFile(t, "/usr/bin/virt-mtu", "#!/bin/false\n", 0o755)
	c.Run(t, "dpkg", "-P", "virt-mtu")
	if got := executables(t, c); got != mine {
		t.Errorf("libvirt would run %s", got)
	}
	starts("web2")
	undisturbed("after the purge")
	left := c.Run(t, "find", "/etc", "/usr", "/var/lib/systemd", "/run", "-name", "*virt-mtu*", "-not", "-path", "/usr/share/lintian/*")
	if strings.TrimSpace(left) != "" {
		t.Errorf("left behind:\n%s", left)
	}
	if got := c.ReadFile(t, "/run/lab/users"); strings.Count(got, "10-mine start") != strings.Count(got, "/hooks/qemu start") || strings.Count(got, "10-mine start") < 7 {
		t.Errorf("the user's own hooks did not run each time:\n%s", got)
	}
}
