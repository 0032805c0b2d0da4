// Package lab gives tests throw-away hosts: namespaces of their own with a real
// libvirtd, a real kernel's links and real guests in them. The host itself is made by
// the script lab beside this file, which the demo uses as well; its head says what a
// host looks like inside.
//
// It does not know virt-mtu.
package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Addr is the address that Bridge gives a host's bridge, GuestAddr a guest's unless
// its kernel command line has a word gip=.
const (
	Addr      = "192.0.2.1"
	GuestAddr = "192.0.2.2"
)

// patience is how long one command may take.
const patience = 2 * time.Minute

// Host is one host. Its methods fail the test where what they do fails; those that are
// asked whether something holds say so instead.
type Host struct {
	name   string
	script string
	root   string // its file system, as seen from here
}

// New brings up a host, without libvirtd, that is gone when the test is. Without root or
// without what it is made of the test is skipped; on CI (CI=true) it fails.
func New(t testing.TB) *Host {
	t.Helper()
	if missing := Missing(); missing != "" {
		if os.Getenv("CI") == "true" {
			t.Fatal(missing)
		}
		t.Skip(missing)
	}
	script, err := script()
	if err != nil {
		t.Fatal(err)
	}
	h := &Host{name: fmt.Sprintf("test-%d-%06x", os.Getpid(), rand.IntN(1<<24)), script: script}
	h.lab(t, "up", h.name, strconv.Itoa(os.Getpid()))
	t.Cleanup(func() { h.lab(t, "down", h.name) })
	pid := h.lab(t, "pid", h.name)
	h.root = filepath.Join("/proc", strings.TrimSpace(pid), "root")
	return h
}

// Missing says what keeps this machine from running a lab; empty: nothing.
func Missing() string {
	if os.Geteuid() != 0 {
		return "a lab must be run by root"
	}
	for _, tool := range []string{"libvirtd", "virsh", "qemu-system-x86_64", "busybox", "cpio", "xz", "modprobe", "ip", "ping", "wg", "unshare", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			return "a lab needs " + tool + ": see hack/packages.txt"
		}
	}
	return ""
}

// script finds the script lab from wherever below the module's root a test runs.
func script() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find lab: %w", err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "test", "lab", "lab")
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", errors.New("find lab: no test/lab/lab above the working directory")
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Exit           int // -1: not by itself
}

// Try runs a command in the host.
func (h *Host) Try(t testing.TB, args ...string) Result {
	t.Helper()
	return h.exec(t, slices.Concat([]string{"on", h.name}, args)...)
}

// Run runs a command in the host that has to succeed, and returns its stdout.
func (h *Host) Run(t testing.TB, args ...string) string {
	t.Helper()
	r := h.Try(t, args...)
	if r.Exit != 0 {
		t.Fatalf("%s: exit %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Command is a command in the host that is not yet started: for what has to run while
// something else happens, or reads stdin. Killing it does not reach what it started in
// the host; that ends with the host.
func (h *Host) Command(args ...string) *exec.Cmd {
	return exec.Command(h.script, slices.Concat([]string{"on", h.name}, args)...)
}

// lab runs one of the script's verbs, which has to succeed.
func (h *Host) lab(t testing.TB, args ...string) string {
	t.Helper()
	r := h.exec(t, args...)
	if r.Exit != 0 {
		t.Fatalf("lab %s: exit %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

func (h *Host) exec(t testing.TB, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, h.script, args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("lab %s: %v", strings.Join(args, " "), err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Libvirtd does verb to the host's libvirtd: start, stop, restart, reload (returns when
// it has looked for hooks anew), freeze, thaw. Options go to libvirtd itself.
func (h *Host) Libvirtd(t testing.TB, verb string, options ...string) {
	t.Helper()
	h.lab(t, slices.Concat([]string{"libvirtd", h.name, verb}, options)...)
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
	args := []string{"bridge", h.name, name}
	if mtu != 0 {
		args = append(args, strconv.Itoa(mtu))
	}
	h.lab(t, args...)
}

// Uplink makes a port of the bridge whose far end, dev-sw, is in the network namespace
// "switch" of the host.
func (h *Host) Uplink(t testing.TB, bridge, dev string, mtu int) {
	t.Helper()
	h.lab(t, "uplink", h.name, bridge, dev, strconv.Itoa(mtu))
}

// Wire lays a cable from dev of this host to otherDev of the other.
func (h *Host) Wire(t testing.TB, dev string, other *Host, otherDev string) {
	t.Helper()
	h.lab(t, "wire", h.name, dev, other.name, otherDev)
}

// MTU of a link of the host.
func (h *Host) MTU(t testing.TB, dev string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(h.Run(t, "cat", "/sys/class/net/"+dev+"/mtu")))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Domain is the XML of a guest with these interfaces that boots the lab's kernel. Words
// are added to its command line: gip=ADDR, setmtu=N. The word "links" gives it the
// kernel's kinds of link and /bin/ip, /bin/bridge and /bin/wg for them.
func (h *Host) Domain(t testing.TB, name, interfaces string, words ...string) string {
	t.Helper()
	return h.lab(t, slices.Concat([]string{"domain", name, interfaces}, words)...)
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
	h.lab(t, "wait", h.name, domain)
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
	return h.exec(t, slices.Concat([]string{"guest", h.name, addr}, args)...)
}

// PutGuest makes file an executable of the guest at addr.
func (h *Host) PutGuest(t testing.TB, addr, file, path string) {
	t.Helper()
	h.lab(t, "put", h.name, addr, file, path)
}

// OVS starts Open vSwitch with an empty database. Its bridges have to be
// datapath_type=netdev.
func (h *Host) OVS(t testing.TB) {
	t.Helper()
	h.lab(t, "ovs", h.name)
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

// Path is where a path of the host is seen from outside. Links in it are not the host's.
func (h *Host) Path(path string) string { return filepath.Join(h.root, path) }

// Exists reports whether the host has that file.
func (h *Host) Exists(path string) bool {
	_, err := os.Lstat(h.Path(path))
	return err == nil
}

// ReadFile reads a file of the host.
func (h *Host) ReadFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(h.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WriteFile writes a file of the host, and the folders above it.
func (h *Host) WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	path = h.Path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	// The mode of a file that was there, and the umask.
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
