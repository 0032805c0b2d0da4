package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"time"

	"virt-mtu/internal/oneline"
)

// ErrCannotPing: nothing in this guest sends echo requests that nobody may fragment, or
// not to such an address.
var ErrCannotPing = errors.New("cannot be done in this guest")

// Echo is what became of one echo request that a guest sent. Its zero is: nothing came
// back.
type Echo struct {
	Answered bool
	// TooBig: From says so, a router's address; empty: the guest itself did not let it
	// out. MTU, in bytes of IP packet, is the one named; 0: none was.
	TooBig bool
	From   string
	MTU    int
	// Why is what From says, where it is something else.
	Why string
}

// Ping has the guest send one echo request, an IP packet of size bytes that nobody may
// fragment, to an address, and waits for the answer, in whole seconds and at least one.
// A link-local address is one on the guest's NIC with a MAC address. Errors:
// ErrCannotPing, ErrNoNIC; or how its ping failed.
func (g *Guest) Ping(addr netip.Addr, mac string, size int, wait time.Duration) (Echo, error) {
	if g.system.ping == nil {
		return Echo{}, fmt.Errorf("%w: how its ping forbids fragments is not known here", ErrCannotPing)
	}
	addr, err := g.Zoned(addr, mac)
	if err != nil {
		return Echo{}, err
	}
	wait = max(time.Second, wait.Round(time.Second))
	return g.system.ping(g, addr, size, wait)
}

// Zoned is an address as the guest has to name it: a link-local one of IPv6 with its NIC.
func (g *Guest) Zoned(addr netip.Addr, mac string) (netip.Addr, error) {
	addr = addr.WithZone("").Unmap()
	if !addr.Is6() || !addr.IsLinkLocalUnicast() {
		return addr, nil
	}
	l, err := g.find(mac)
	if err != nil {
		return addr, err
	}
	return addr.WithZone(l.Name), nil
}

// Headers of an echo request, in bytes.
const (
	echo4 = 20 + 8
	echo6 = 40 + 8
)

// linuxPing goes by the words of iputils, which are English where it is told so: env does
// that, and keeps the rest of the agent's environment. Some busybox' env runs busybox'
// own ping whatever else there is: then without.
func linuxPing(g *Guest, addr netip.Addr, size int, wait time.Duration) (Echo, error) {
	ping := []string{"ping"}
	payload := size - echo4
	if addr.Is6() {
		ping, payload = append(ping, "-6"), size-echo6
	}
	ping = append(ping, "-M", "do", "-n", "-c", "1", "-W", strconv.Itoa(int(wait/time.Second)), "-s", strconv.Itoa(payload), addr.String())
	e, err := linuxEcho(g.run("env", append([]string{"LC_ALL=C"}, ping...)...))
	if errors.Is(err, ErrCannotPing) {
		e, err = linuxEcho(g.run(ping[0], ping[1:]...))
	}
	return e, err
}

var (
	linuxTooLong = regexp.MustCompile(`(?i)message too long(?:, mtu[=:] ?(\d{1,9}))?`)
	linuxTooBig  = regexp.MustCompile(`(?i)^(?:Frag needed.*\(mtu = (\d{1,9})\)|Packet too big: mtu=(\d{1,9}))`)
	linuxFrom    = regexp.MustCompile(`(?m)^From ([0-9A-Fa-f.:]{1,45})(?:%\S+)?:? icmp_seq=\d+ (.+)$`)
	noSuchOption = regexp.MustCompile(`(?i)(invalid|unrecogni[sz]ed|illegal|unknown) option`)
)

// linuxEcho reads what iputils' ping says: it exits with 0 where there was an answer,
// with 1 where there was none.
func linuxEcho(out string, err error) (Echo, error) {
	var exit exitError
	switch {
	case err == nil:
		return Echo{Answered: true}, nil
	case errors.Is(err, errNoProgram):
		return Echo{}, fmt.Errorf("%w: it has no ping", ErrCannotPing)
	case !errors.As(err, &exit):
		return Echo{}, err
	case noSuchOption.MatchString(exit.stderr):
		return Echo{}, fmt.Errorf("%w: its ping has no -M do (that of iputils has)", ErrCannotPing)
	}
	if m := linuxTooLong.FindStringSubmatch(exit.stderr + out); m != nil {
		return Echo{TooBig: true, MTU: named(m[1])}, nil
	}
	if exit.status != 1 {
		return Echo{}, err
	}
	m := linuxFrom.FindStringSubmatch(out)
	if m == nil {
		return Echo{}, nil
	}
	if n := linuxTooBig.FindStringSubmatch(m[2]); n != nil {
		return Echo{TooBig: true, From: m[1], MTU: named(n[1] + n[2])}, nil
	}
	return Echo{From: m[1], Why: oneline.Text(strings.TrimSpace(m[2]), longest)}, nil
}

// named is the MTU that somebody names; 0: none.
func named(s string) int {
	n, _ := strconv.Atoi(s)
	return n
}

// windowsMost is the most that Windows' ping takes by -l.
const windowsMost = 65500

// windowsPing goes by what is the same in all languages, and of a packet that is too big
// by the English words. In others that is no different from one that is lost.
func windowsPing(g *Guest, addr netip.Addr, size int, wait time.Duration) (Echo, error) {
	if addr.Is6() {
		return Echo{}, fmt.Errorf("%w: Windows' ping forbids fragments over IPv4 only", ErrCannotPing)
	}
	return windowsEcho(g.run("ping.exe", "-f", "-n", "1", "-w", strconv.FormatInt(wait.Milliseconds(), 10),
		"-l", strconv.Itoa(min(size-echo4, windowsMost)), addr.String()))
}

var windowsFrom = regexp.MustCompile(`(?m)^\s*Reply from ([0-9.]{7,15}): (.+?)\s*$`)

// windowsEcho: Windows' ping exits with 0 for an error of a router too.
func windowsEcho(out string, err error) (Echo, error) {
	var exit exitError
	switch {
	case errors.Is(err, errNoProgram):
		return Echo{}, fmt.Errorf("%w: it has no ping", ErrCannotPing)
	case err != nil && (!errors.As(err, &exit) || exit.status != 1):
		return Echo{}, err
	case err == nil && strings.Contains(out, "TTL="):
		return Echo{Answered: true}, nil
	}
	from, why := "", ""
	if m := windowsFrom.FindStringSubmatch(out); m != nil {
		from, why = m[1], m[2]
	}
	if strings.Contains(out, "needs to be fragmented") {
		return Echo{TooBig: true, From: from}, nil
	}
	return Echo{From: from, Why: oneline.Text(why, longest)}, nil
}
