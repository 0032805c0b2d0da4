package tap

import (
	"errors"
	"fmt"
	"os"
	"path"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// What a tap takes, in bytes of IP packet: the kernel's MIN_MTU and MAX_MTU of
// drivers/net/tun.c, the latter 65535 less an Ethernet header.
const (
	MinMTU = 68
	MaxMTU = 65521
)

// Why a link was left alone; to be tested with errors.Is.
var (
	ErrGone   = errors.New("there is no such link")
	ErrNotTap = errors.New("the kernel says it is no tap")
	// ErrNotPort: the tap may be a port of Open vSwitch, of another bridge, of none.
	ErrNotPort = errors.New("the kernel says it is no port of that Linux bridge")
)

// sysNet is where the kernel says what a link is.
const sysNet = "/sys/class/net/"

// Raise sets the MTU of the tap dev, a port of the Linux bridge called bridge, to
// mtu bytes of IP packet. It returns the MTU before. A live tap is never lowered:
// where it has that MTU or more, nothing is done.
//
// The kernel sets an MTU by name, after the link has been looked at by name. Raise
// holds the two together by the link's index, which is never used again: should the
// name have changed hands, that is ErrGone. The few microseconds between the last
// look and the setting are left: a link that takes a tap's name just then gets
// mtu, and the error says so.
func Raise(dev, bridge string, mtu int) (before int, err error) {
	if before, err = raise(dev, bridge, mtu); err != nil {
		return before, fmt.Errorf("raise mtu of %q to %d: %w", dev, mtu, err)
	}
	return before, nil
}

func raise(dev, bridge string, mtu int) (before int, err error) {
	if mtu < MinMTU || mtu > MaxMTU {
		return 0, fmt.Errorf("a tap takes %d to %d", MinMTU, MaxMTU)
	}
	l, err := openLink(dev)
	if err != nil {
		return 0, err
	}
	defer l.close()
	index, err := l.get(unix.SIOCGIFINDEX)
	if err != nil {
		return 0, err
	}
	if err := isTap(dev); err != nil {
		return 0, err
	}
	if err := isPort(dev, bridge); err != nil {
		return 0, err
	}
	if before, err = l.get(unix.SIOCGIFMTU); err != nil {
		return 0, err
	}
	if now, err := l.get(unix.SIOCGIFINDEX); err != nil || now != index {
		return 0, ErrGone
	}
	if before >= mtu {
		return before, nil
	}
	if err := l.setMTU(mtu); err != nil {
		return before, err
	}
	if now, err := l.get(unix.SIOCGIFINDEX); err == nil && now != index {
		return before, fmt.Errorf("%w: another link took its name and may have got this mtu", ErrGone)
	}
	return before, nil
}

// isTap holds for a TUN/TAP device in TAP mode. A macvtap is none.
func isTap(dev string) error {
	// Not os.ReadFile: the hook would start Go's poller for it.
	fd, err := unix.Open(sysNet+dev+"/tun_flags", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ErrNotTap
	}
	defer unix.Close(fd)
	var text [32]byte
	n, err := unix.Read(fd, text[:])
	if err != nil {
		return ErrNotTap
	}
	flags, err := strconv.ParseUint(strings.TrimSpace(string(text[:n])), 0, 32)
	if err != nil || flags&unix.IFF_TAP == 0 {
		return ErrNotTap
	}
	return nil
}

// isPort looks at brport, which ports of a Linux bridge alone have: a bond and
// Open vSwitch's datapath are masters too.
func isPort(dev, bridge string) error {
	to, err := os.Readlink(sysNet + dev + "/brport/bridge")
	if err != nil || path.Base(to) != bridge {
		return fmt.Errorf("%w (%q)", ErrNotPort, bridge)
	}
	return nil
}
