// Package container gives tests throw-away Debian machines of one release or another, with
// systemd as process 1: what a lab's host, which has this machine's own programs, cannot
// show. The script container beside this file makes them, the script roots their file
// systems.
//
// It does not know virt-mtu.
package container

import (
	"os/exec"
	"testing"

	"virt-mtu/test/machine"
)

// Container is one container.
type Container struct{ machine.Machine }

// New boots a container of a Debian release ("bookworm", "trixie") that is gone when the
// test is. The root of a release that is not there yet is made first, which takes a minute
// or two. Without root or without what it is made of the test is skipped; on CI (CI=true)
// it fails.
func New(t testing.TB, release string) *Container {
	t.Helper()
	machine.Need(t, machine.Missing("a container", "systemd-nspawn", "debootstrap", "unshare", "nsenter", "setpriv", "pgrep", "ip"))
	// Not as a verb of the other script's: it may take longer than any command.
	roots := string(machine.Find(t, "test/container/roots"))
	if out, err := exec.Command(roots, release).CombinedOutput(); err != nil {
		t.Fatalf("make root of %s: %v\n%s", release, err, out)
	}
	return &Container{machine.Up(t, script, release)}
}

// script makes containers.
const script = "test/container/container"

// Wire lays a cable from dev of this container to otherDev of the other.
func (c *Container) Wire(t testing.TB, dev string, other *Container, otherDev string) {
	t.Helper()
	c.Machine.Wire(t, dev, other.Machine, otherDev)
}
