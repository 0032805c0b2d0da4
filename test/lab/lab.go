// Package lab gives tests throw-away hosts: namespaces of their own with a real
// libvirtd, a real kernel's links and real guests in them. The host itself is made by
// the script lab beside this file, which the demo uses as well; its head says what a
// host looks like inside.
//
// It does not know virt-mtu.
package lab

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/machine"
)

// Addr is the address that Bridge gives a host's bridge, GuestAddr a guest's unless
// its kernel command line has a word gip=.
const (
	Addr      = "192.0.2.1"
	GuestAddr = "192.0.2.2"
)

// Host is one host.
type Host struct{ machine.Machine }

// Result is how a command ended.
type Result = machine.Result

// New brings up a host, without libvirtd, that is gone when the test is. Without root or
// without what it is made of the test is skipped; on CI (CI=true) it fails.
func New(t testing.TB) *Host {
	t.Helper()
	machine.Need(t, Missing())
	return &Host{machine.Up(t, script)}
}

// script makes hosts.
const script = "test/lab/lab"

// Missing says what keeps this machine from running a lab; empty: nothing.
func Missing() string {
	return machine.Missing("a lab", "libvirtd", "virsh", "qemu-system-x86_64", "busybox", "cpio", "xz", "modprobe", "ip", "ping", "wg", "unshare", "nsenter")
}

// Libvirtd does verb to the host's libvirtd: start, stop, restart, reload (returns when
// it has looked for hooks anew), freeze, thaw. Options go to libvirtd itself.
func (h *Host) Libvirtd(t testing.TB, verb string, options ...string) {
	t.Helper()
	h.Verb(t, slices.Concat([]string{"libvirtd", h.Name, verb}, options)...)
}

// Hook makes text the executable file of that name below libvirt's hooks/: "qemu",
// "qemu.d/50-x". A running libvirtd that had none needs a reload to see it.
func (h *Host) Hook(t testing.TB, as, text string) {
	t.Helper()
	h.WriteFile(t, filepath.Join("/etc/libvirt/hooks", as), text, 0o755)
}

// Bridge makes a bridge at Addr/24, pinned to mtu, or automatic where that is 0.
func (h *Host) Bridge(t testing.TB, name string, mtu int) {
	t.Helper()
	args := []string{"bridge", h.Name, name}
	if mtu != 0 {
		args = append(args, strconv.Itoa(mtu))
	}
	h.Verb(t, args...)
}

// Uplink makes a port of the bridge whose far end, dev-sw, is in the network namespace
// "switch" of the host.
func (h *Host) Uplink(t testing.TB, bridge, dev string, mtu int) {
	t.Helper()
	h.Verb(t, "uplink", h.Name, bridge, dev, strconv.Itoa(mtu))
}

// Wire lays a cable from dev of this host to otherDev of the other.
func (h *Host) Wire(t testing.TB, dev string, other *Host, otherDev string) {
	t.Helper()
	h.Machine.Wire(t, dev, other.Machine, otherDev)
}

// Domain is the XML of a guest with these interfaces that boots the lab's kernel. Words
// are added to its command line: gip=ADDR, setmtu=N. The word "links" gives it the
// kernel's kinds of link and /bin/ip, /bin/bridge and /bin/wg for them; "agent" instead
// a guest agent, on its channel, and VLANs. With ga=none its port, /dev/agent, is left.
func (h *Host) Domain(t testing.TB, name, interfaces string, words ...string) string {
	t.Helper()
	return Domain(t, name, interfaces, words...)
}

// Domain is the same for any machine that has the image at /run/lab/image.
func Domain(t testing.TB, name, interfaces string, words ...string) string {
	t.Helper()
	return machine.Find(t, script).Verb(t, slices.Concat([]string{"domain", name, interfaces}, words)...)
}

// Define makes the XML a persistent domain.
func (h *Host) Define(t testing.TB, xml string) {
	t.Helper()
	h.WriteFile(t, "/run/lab/define.xml", xml, 0o644)
	h.Run(t, "virsh", "-q", "define", "/run/lab/define.xml")
}

// Boot starts the domain and waits for its guest. It returns the MTU in bytes with which
// the guest's driver came up, before anything in the guest could have changed it.
func (h *Host) Boot(t testing.TB, domain string) int {
	t.Helper()
	h.Run(t, "virsh", "-q", "start", domain)
	return h.WaitBoot(t, domain)
}

var bootMTU = regexp.MustCompile(`(?m)^BOOT-MTU (\d+) `)

// WaitBoot waits for the guest of a domain that was started. For its result see Boot.
func (h *Host) WaitBoot(t testing.TB, domain string) int {
	t.Helper()
	h.Verb(t, "wait", h.Name, domain)
	m := bootMTU.FindStringSubmatch(h.Console(t, domain))
	if m == nil {
		t.Fatalf("guest %s has no NIC:\n%s", domain, h.Console(t, domain))
	}
	n, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Console is what the guest has written since its last start.
func (h *Host) Console(t testing.TB, domain string) string {
	t.Helper()
	return strings.ReplaceAll(h.ReadFile(t, "/run/lab/"+domain+".console"), "\r", "")
}

// Ping reports whether an IPv4 packet of so many bytes, not to be fragmented, gets from
// the host to addr, and the answer back in one piece: a virtio guest takes more than its
// MTU, and answers in fragments.
func (h *Host) Ping(t testing.TB, addr string, packet int) bool {
	t.Helper()
	const headers = 20 + 8 // IPv4, ICMP
	before := h.reassembled(t)
	r := h.Try(t, "ping", "-c", "1", "-i", "0.2", "-w", "2", "-M", "do", "-s", strconv.Itoa(packet-headers), addr)
	return r.Exit == 0 && h.reassembled(t) == before
}

// reassembled is how many IPv4 packets came to the host in fragments.
func (h *Host) reassembled(t testing.TB) string {
	t.Helper()
	var names []string
	for line := range strings.Lines(h.Run(t, "cat", "/proc/net/snmp")) {
		switch fields := strings.Fields(line); {
		case fields[0] != "Ip:":
		case names == nil:
			names = fields
		default:
			return fields[slices.Index(names, "ReasmOKs")]
		}
	}
	t.Fatal("no Ip: in /proc/net/snmp")
	return ""
}

// Guest runs a command in the guest at addr, which takes the network: a guest that gets
// no packets at all does not answer. "/bin/ping" is iputils', which knows -M do.
func (h *Host) Guest(t testing.TB, addr string, args ...string) Result {
	t.Helper()
	return Guest(t, h.Machine, addr, args...)
}

// Guest does so from any machine.
func Guest(t testing.TB, from machine.Machine, addr string, args ...string) Result {
	t.Helper()
	return machine.Find(t, script).Exec(t, slices.Concat([]string{"guest", "@" + from.PID(t), addr}, args)...)
}

// PutGuest makes file an executable of the guest at addr.
func (h *Host) PutGuest(t testing.TB, addr, file, path string) {
	t.Helper()
	h.Verb(t, "put", h.Name, addr, file, path)
}

// OVS starts Open vSwitch with an empty database. Its bridges have to be
// datapath_type=netdev.
func (h *Host) OVS(t testing.TB) {
	t.Helper()
	h.Verb(t, "ovs", h.Name)
}

// Syslog is what has come in at /dev/log so far, a line a message.
func (h *Host) Syslog(t testing.TB) string {
	t.Helper()
	// What is behind this in the socket is behind it in the file.
	mark := fmt.Sprintf("%x", rand.Uint64())
	h.Run(t, "busybox", "logger", "-t", "lab", mark)
	for range 200 {
		log := h.ReadFile(t, "/run/lab/syslog")
		if before, _, ok := strings.Cut(log, mark); ok {
			return before[:strings.LastIndexByte(before, '\n')+1]
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("syslogd does not write what it is sent")
	return ""
}
