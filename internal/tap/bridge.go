package tap

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// ErrOtherBridge: the bridge is there, and is not the one that was meant.
var ErrOtherBridge = errors.New("that bridge has another MAC address than the network's")

// SetBridge sets the MTU of the Linux bridge of a libvirt network to mtu bytes of IP
// packet, which pins it there, as libvirt does when it starts the network. mac is the
// address that libvirt gave that bridge; empty: not known. It returns the MTU before.
// Without lower a bridge that has that MTU or more is left alone.
//
// It holds what it looked at and what it sets together as Raise does, and waits for a
// Pin of the same bridge.
func SetBridge(bridge, mac string, mtu int, lower bool) (before int, err error) {
	if before, err = setBridge(bridge, mac, mtu, lower); err != nil {
		return before, fmt.Errorf("set mtu of bridge %q to %d: %w", bridge, mtu, err)
	}
	return before, nil
}

func setBridge(bridge, mac string, mtu int, lower bool) (before int, err error) {
	if mtu < MinMTU || mtu > maxBridgeMTU {
		return 0, fmt.Errorf("a bridge takes %d to %d", MinMTU, maxBridgeMTU)
	}
	l, err := openLink(bridge)
	if err != nil {
		return 0, err
	}
	defer l.close()
	index, err := l.get(unix.SIOCGIFINDEX)
	if err != nil {
		return 0, err
	}
	unlock, err := lockBridge(bridge, unix.LOCK_EX)
	if err != nil {
		return 0, err
	}
	defer unlock()
	if mac != "" {
		address, err := os.ReadFile(sysNet + bridge + "/address")
		if err != nil {
			return 0, ErrGone
		}
		if has := strings.TrimSpace(string(address)); !strings.EqualFold(has, mac) {
			return 0, fmt.Errorf("%w (%s, not %s)", ErrOtherBridge, has, mac)
		}
	}
	if before, err = l.get(unix.SIOCGIFMTU); err != nil {
		return 0, err
	}
	if now, err := l.get(unix.SIOCGIFINDEX); err != nil || now != index {
		return 0, ErrGone
	}
	if before == mtu || before > mtu && !lower {
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
