package agent

import (
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// system is how one kind of guest is asked.
type system struct {
	// ids are what guest-get-osinfo calls it.
	ids []string
	// valid: an interface's name that can be nothing but a name: not an option, not a
	// path, nothing that any program takes for more.
	valid func(name string) bool
	read  func(*Guest, link) (int, error)
	set   func(*Guest, link, int) error
	// real: it is a device, not something on one that has its MAC address. nil: that
	// cannot be told.
	real func(*Guest, link) bool
	// above is what lies on it. nil: that cannot be told.
	above   func(*Guest, link) []string
	lasting func(*Guest, link, int) string
	// ping sends one packet of so many bytes that nobody may fragment. nil: how is not
	// known.
	ping func(g *Guest, addr netip.Addr, size int, wait time.Duration) (Echo, error)
}

// systems, the first for all that is none of the others: there is no end of Linuxes.
var systems = []system{
	{nil, unixName, linuxRead, linuxSet, linuxReal, linuxAbove, linuxLasting, linuxPing},
	{[]string{"mswindows"}, windowsName, windowsRead, windowsSet, nil, nil, windowsLasting, windowsPing},
	{[]string{"freebsd", "openbsd", "netbsd", "dragonfly"}, unixName, bsdRead, bsdSet, nil, nil, bsdLasting, nil},
}

func lookup(id string) *system {
	for i := range systems {
		if slices.Contains(systems[i].ids, strings.ToLower(id)) {
			return &systems[i]
		}
	}
	return &systems[0]
}

// unixName: IFNAMSIZ less one bytes, and of what a kernel allows the printable rest.
var unixName = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_.-]{0,14}$`).MatchString

// ---- Linux

func sysfs(l link, file string) string { return "/sys/class/net/" + l.Name + "/" + file }

func linuxRead(g *Guest, l link) (int, error) {
	text, err := g.file(sysfs(l, "mtu"))
	if err != nil {
		return 0, err
	}
	return number(strings.TrimSpace(text))
}

// linuxSet: iproute2's ip and busybox's take the same words.
func linuxSet(g *Guest, l link, mtu int) error {
	n := strconv.Itoa(mtu)
	ip := []string{"link", "set", "dev", l.Name, "mtu", n}
	_, err := g.first(
		append([]string{"ip"}, ip...),
		append([]string{"/usr/sbin/ip"}, ip...),
		append([]string{"/sbin/ip"}, ip...),
		append([]string{"busybox", "ip"}, ip...),
		[]string{"ifconfig", l.Name, "mtu", n},
		[]string{"/sbin/ifconfig", l.Name, "mtu", n},
	)
	return err
}

func linuxReal(g *Guest, l link) bool {
	_, err := g.file(sysfs(l, "device/uevent"))
	return err == nil
}

// linuxAbove: each link on another is an upper_NAME in its folder (netdevice.7 says
// nothing of it; net/core/dev.c, netdev_adjacent_sysfs_add).
func linuxAbove(g *Guest, l link) []string {
	out, err := g.run("ls", sysfs(l, ""))
	if err != nil {
		return nil
	}
	var above []string
	for _, f := range strings.Fields(out) {
		if name, ok := strings.CutPrefix(f, "upper_"); ok && unixName(name) && len(above) < 10 {
			above = append(above, name)
		}
	}
	return above
}

// ---- BSD

var bsdMTU = regexp.MustCompile(`\bmtu (\d+)`)

func bsdRead(g *Guest, l link) (int, error) {
	out, err := g.first([]string{"ifconfig", l.Name}, []string{"/sbin/ifconfig", l.Name})
	if err != nil {
		return 0, err
	}
	m := bsdMTU.FindStringSubmatch(out)
	if m == nil {
		return 0, fmt.Errorf("%w: ifconfig says %s", ErrNonsense, said(out))
	}
	return number(m[1])
}

func bsdSet(g *Guest, l link, mtu int) error {
	n := strconv.Itoa(mtu)
	_, err := g.first([]string{"ifconfig", l.Name, "mtu", n}, []string{"/sbin/ifconfig", l.Name, "mtu", n})
	return err
}

func bsdLasting(_ *Guest, l link, mtu int) string {
	return fmt.Sprintf("mtu %d in ifconfig_%s of /etc/rc.conf (OpenBSD: in /etc/hostname.%s)", mtu, l.Name, l.Name)
}

func number(s string) (int, error) {
	n, err := strconv.ParseInt(s, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%w: an MTU of %s", ErrNonsense, said(s))
	}
	return int(n), nil
}
