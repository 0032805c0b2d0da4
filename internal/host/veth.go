package host

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// otherEnd returns the index of a veth's other end, and whether that is in this
// network namespace. sysfs has the index alone (iflink), which means another link, or
// none, where the namespace is another: only rtnetlink tells (IFLA_LINK_NETNSID). One
// request for one link, without a library: the libvirt hook comes by here.
func otherEnd(index int) (peer int, here bool, err error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
	if err != nil {
		return 0, false, fmt.Errorf("open netlink socket: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Sendto(fd, linkRequest(index), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return 0, false, fmt.Errorf("ask for link %d: %w", index, err)
	}
	buf := make([]byte, 16<<10) // one link without its statistics is 1 to 2 KiB
	n, _, err := unix.Recvfrom(fd, buf, 0)
	if err != nil {
		return 0, false, fmt.Errorf("read link %d: %w", index, err)
	}
	messages, err := syscall.ParseNetlinkMessage(buf[:n])
	if err != nil || len(messages) == 0 || messages[0].Header.Type != unix.RTM_NEWLINK {
		return 0, false, errors.Join(fmt.Errorf("read link %d: no answer", index), err)
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(&messages[0])
	if err != nil {
		return 0, false, fmt.Errorf("read link %d: %w", index, err)
	}
	here = true
	for _, a := range attrs {
		switch {
		case a.Attr.Type == unix.IFLA_LINK && len(a.Value) >= 4:
			peer = int(*(*uint32)(unsafe.Pointer(&a.Value[0])))
		case a.Attr.Type == unix.IFLA_LINK_NETNSID:
			here = false
		}
	}
	return peer, here && peer != 0, nil
}

// filterSkipStats is the kernel's RTEXT_FILTER_SKIP_STATS.
const filterSkipStats = 1 << 3

// linkRequest is RTM_GETLINK for one index.
func linkRequest(index int) []byte {
	type request struct {
		unix.NlMsghdr
		unix.IfInfomsg
		mask  unix.RtAttr
		value uint32
	}
	r := request{
		NlMsghdr:  unix.NlMsghdr{Type: unix.RTM_GETLINK, Flags: unix.NLM_F_REQUEST},
		IfInfomsg: unix.IfInfomsg{Index: int32(index)},
		mask:      unix.RtAttr{Len: 8, Type: unix.IFLA_EXT_MASK},
		value:     filterSkipStats,
	}
	r.Len = uint32(unsafe.Sizeof(r))
	return unsafe.Slice((*byte)(unsafe.Pointer(&r)), r.Len)
}
