package tap

import (
	"errors"
	"strings"

	"golang.org/x/sys/unix"
)

// link is a network device by name, for ioctls.
type link struct {
	name string
	sock int
}

// openLink refuses a name that no link can have before it gets anywhere near a path.
func openLink(name string) (link, error) {
	if !validName(name) {
		return link{}, ErrGone
	}
	// A unix socket takes every interface ioctl and is there without IPv4.
	sock, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	return link{name, sock}, err
}

func (l link) close() { unix.Close(l.sock) }

func (l link) get(request uint) (int, error) {
	ifr, err := unix.NewIfreq(l.name)
	if err != nil {
		return 0, err
	}
	if err := gone(unix.IoctlIfreq(l.sock, request, ifr)); err != nil {
		return 0, err
	}
	return int(ifr.Uint32()), nil
}

func (l link) setMTU(mtu int) error {
	ifr, err := unix.NewIfreq(l.name)
	if err != nil {
		return err
	}
	ifr.SetUint32(uint32(mtu))
	return gone(unix.IoctlIfreq(l.sock, unix.SIOCSIFMTU, ifr))
}

func gone(err error) error {
	if errors.Is(err, unix.ENODEV) {
		return ErrGone
	}
	return err
}

// validName tells whether the kernel would let a link be called name
// (dev_valid_name), as far as that keeps it one element of a path. The rest the
// kernel does not find.
func validName(name string) bool {
	return name != "" && len(name) < unix.IFNAMSIZ && name != "." && name != ".." && !strings.ContainsAny(name, "/:\x00")
}
