package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// pair is two hosts whose libvirtds migrate guests to each other, with our hook on both.
// The cable "trunk" between them is the uplink of br0 on either side.
type pair struct{ a, b *lab.Host }

// Addresses of the two: of br0, in the guests' network, and of the cable for migrations.
const (
	addrA, addrB = lab.Addr, "192.0.2.3"
	migA, migB   = "198.51.100.1", "198.51.100.2"
)

// newPair is two hosts; b's side is for the test to lay. a carries 9000 everywhere.
func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{lab.New(t), lab.New(t)}
	p.a.Wire(t, "mig", p.b, "mig")
	p.a.Wire(t, "trunk", p.b, "trunk")
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s %s\n%s %s\n", migA, hostname(t, p.a), migB, hostname(t, p.b))
	for h, addr := range map[*lab.Host]string{p.a: migA, p.b: migB} {
		h.WriteFile(t, "/etc/hosts", hosts, 0o644)
		h.Run(t, "ip", "addr", "add", addr+"/24", "dev", "mig")
		h.Run(t, "ip", "link", "set", "mig", "up")
		installHook(t, h)
		h.Libvirtd(t, "start", "--listen")
	}
	p.lay(t, p.a, 0, 9000)
	p.lay(t, p.b, 0, 9000)
	return p
}

func hostname(t *testing.T, h *lab.Host) string {
	t.Helper()
	return strings.TrimSpace(h.Run(t, "hostname"))
}

// lay makes h's br0 anew, pinned at a bridge MTU or automatic where that is 0, with h's
// end of the trunk at an MTU of its own. No guest may be on it.
func (p *pair) lay(t *testing.T, h *lab.Host, bridge, trunk int) {
	t.Helper()
	h.Try(t, "ip", "link", "del", "br0")
	h.Bridge(t, "br0", bridge)
	if h == p.b { // there is one wire, and one address each
		h.Run(t, "ip", "addr", "flush", "dev", "br0")
		h.Run(t, "ip", "addr", "add", addrB+"/24", "dev", "br0")
	}
	h.Run(t, "ip", "link", "set", "trunk", "mtu", strconv.Itoa(trunk), "master", "br0", "up")
}

// to is where guests reach h: libvirt's URI and QEMU's.
func (p *pair) to(h *lab.Host) (uri, data string) {
	addr := migA
	if h == p.b {
		addr = migB
	}
	return "qemu+tcp://" + addr + "/system", "tcp://" + addr
}

func (p *pair) other(h *lab.Host) *lab.Host {
	if h == p.a {
		return p.b
	}
	return p.a
}

// migration is the command that takes a domain from the other host to h.
func (p *pair) migration(h *lab.Host, domain string, flags ...string) []string {
	uri, data := p.to(h)
	words := slices.Concat([]string{"virsh", "-q", "migrate"}, flags, []string{domain, uri})
	if slices.Contains(flags, "--tunnelled") { // by libvirt's own connection
		return words
	}
	return append(words, data)
}

// migrate takes a running guest to h; without flags by virsh, live.
func (p *pair) migrate(t *testing.T, h *lab.Host, domain string, flags ...string) lab.Result {
	t.Helper()
	if len(flags) == 0 {
		flags = []string{"--live"}
	}
	return p.other(h).Try(t, p.migration(h, domain, flags...)...)
}

// moves takes it to h, which has to succeed, and returns what h's hook said on the way.
func (p *pair) moves(t *testing.T, h *lab.Host, domain string, flags ...string) string {
	t.Helper()
	before := len(h.Syslog(t))
	if r := p.migrate(t, h, domain, flags...); r.Exit != 0 {
		t.Fatalf("migrate %q: exit %d\n%s%s\nlog there:\n%s", flags, r.Exit, r.Stdout, r.Stderr, h.Syslog(t)[before:])
	}
	if s := state(t, h, domain); s != "running" {
		t.Fatalf("%s is %q there", domain, s)
	}
	return hookLines(h.Syslog(t)[before:])
}

// hookLines are the lines of a syslog that are our hook's.
func hookLines(log string) string {
	var out strings.Builder
	for line := range strings.Lines(log) {
		if strings.Contains(line, "virt-mtu-hook") {
			out.WriteString(line)
		}
	}
	return out.String()
}

// reaches reports whether a packet of that size, not to be fragmented, gets from the
// guest to addr and back. h is a host that reaches the guest; a guest that has just come
// may need a moment to be found.
func reaches(t *testing.T, h *lab.Host, addr string, packet int) bool {
	t.Helper()
	for range 5 {
		r := h.Guest(t, lab.GuestAddr, "/bin/ping", "-c", "1", "-W", "2", "-M", "do", "-s", strconv.Itoa(packet-28), addr)
		if r.Exit == 0 {
			return true
		}
		time.Sleep(200 * time.Millisecond)
	}
	return false
}

// untouched checks that a host has nothing left of a guest that did not come, or went:
// no mark, no tap, the bridge as it was.
func untouched(t *testing.T, h *lab.Host, bridge int) {
	t.Helper()
	unmarked(t, h)
	if taps := h.Try(t, "bash", "-c", "cd /sys/class/net && ls -d vnet*").Stdout; taps != "" {
		t.Errorf("taps are left: %s", taps)
	}
	if got := h.MTU(t, "br0"); got != bridge {
		t.Errorf("br0 at %d, was %d", got, bridge)
	}
}

// unmarked checks that nothing is taken for a guest that is coming in.
func unmarked(t *testing.T, h *lab.Host) {
	t.Helper()
	if marks := h.Try(t, "ls", "-A", "/run/virt-mtu/incoming").Stdout; marks != "" {
		t.Errorf("marks are left: %s", marks)
	}
}
