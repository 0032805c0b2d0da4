package tap

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// ErrNotBridge is Pin's for a link that is no Linux bridge.
var ErrNotBridge = errors.New("the kernel says it is no Linux bridge")

// ErrMoved is Pin's for a bridge that has not the MTU any more that it was to keep.
var ErrMoved = errors.New("its MTU has changed meanwhile")

// maxBridgeMTU is ETH_MAX_MTU, in bytes of IP packet.
const maxBridgeMTU = 65535

// Pin makes a Linux bridge keep mtu, in bytes of IP packet, which it must have now: a
// port may have taken it down since that was seen. Until somebody sets the MTU
// of a bridge it follows its smallest port; setting it to what it is already is
// nothing to the kernel. So Pin sets it one higher and back (at the maximum: one
// lower). The kernel does not tell whether a bridge is pinned.
//
// Whoever reads the bridge meanwhile, some microseconds, sees the odd value (but for
// BridgeMTU), and netlink tells of both changes. Pins wait for one another. A process killed
// between the two sets leaves the bridge one off: whoever may end the process holds
// critical before, which Pin holds from the one to the other.
func Pin(bridge string, mtu int, critical sync.Locker) error {
	if err := pin(bridge, mtu, critical); err != nil {
		return fmt.Errorf("pin bridge %q: %w", bridge, err)
	}
	return nil
}

func pin(bridge string, want int, critical sync.Locker) error {
	l, err := openLink(bridge)
	if err != nil {
		return err
	}
	defer l.close()
	unlock, err := lockBridge(bridge, unix.LOCK_EX)
	if err != nil {
		return err
	}
	defer unlock()

	mtu, err := l.get(unix.SIOCGIFMTU)
	if err != nil {
		return err
	}
	if mtu != want {
		return fmt.Errorf("%w: to keep %d, it has %d", ErrMoved, want, mtu)
	}
	other := mtu + 1
	if mtu >= maxBridgeMTU {
		other = mtu - 1
	}
	critical.Lock()
	defer critical.Unlock()
	if err := l.setMTU(other); err != nil {
		return err
	}
	err = l.setMTU(mtu)
	if err != nil { // no memory, or a listener's veto: it may pass
		err = l.setMTU(mtu)
	}
	if err != nil {
		return fmt.Errorf("left at %d, where it had %d: %w", other, mtu, err)
	}
	return nil
}

// BridgeMTU returns what a Linux bridge has, in bytes of IP packet, and never the odd
// value of a Pin, by whatever process. For root alone.
func BridgeMTU(bridge string) (int, error) {
	mtu, err := bridgeMTU(bridge)
	if err != nil {
		return 0, fmt.Errorf("read mtu of bridge %q: %w", bridge, err)
	}
	return mtu, nil
}

func bridgeMTU(bridge string) (int, error) {
	l, err := openLink(bridge)
	if err != nil {
		return 0, err
	}
	defer l.close()
	for try := 0; ; try++ {
		unlock, err := lockBridge(bridge, unix.LOCK_SH|unix.LOCK_NB)
		if err == nil {
			defer unlock()
			return l.get(unix.SIOCGIFMTU)
		}
		if !errors.Is(err, unix.EWOULDBLOCK) || try == pinTries {
			return 0, err
		}
		time.Sleep(pinPause)
	}
}

// How long BridgeMTU waits for a Pin.
const (
	pinTries = 100
	pinPause = time.Millisecond
)

// lockBridge keeps two Pins of one bridge apart: the second would take the first
// one's odd value for the bridge's own, and leave it there. libvirt runs the hooks
// of guests that start together at the same time.
//
// The lock is on a file that the kernel has for each Linux bridge and for root
// alone (mode 0200), so that it needs no folder of ours and nobody else can hold
// it. Nothing is written to it: that would flush the bridge's table.
func lockBridge(bridge string, how int) (unlock func(), err error) {
	fd, err := unix.Open(sysNet+bridge+"/bridge/flush", unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return nil, ErrNotBridge
	}
	if err != nil {
		return nil, fmt.Errorf("open its bridge/flush in %s to lock it: %w", sysNet, err)
	}
	for {
		err = unix.Flock(fd, how)
		if err != unix.EINTR {
			break
		}
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("lock: %w", err)
	}
	return func() { unix.Close(fd) }, nil
}
