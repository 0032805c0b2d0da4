package host

import (
	"encoding/binary"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rtnl asks rtnetlink for one link at a time, without a library: the libvirt hook
// comes by here. The socket is opened at the first question, since most have none.
type rtnl struct {
	fd   int            // -1: not open
	err  error          // why nothing more is asked
	last uint32         // number of the last question
	buf  [16 << 10]byte // one link without its statistics is 1 to 2 KiB
}

// answerWithin bounds the wait for an answer in microseconds. It is there when the
// question returns; but it may be lost for want of memory.
const answerWithin = 500_000

// under returns the index of what the link sits on, of a veth its other end (0: of
// none), and whether that is in another network namespace. sysfs has the index alone
// (iflink), which means another link, or none, where it is: only rtnetlink tells
// (IFLA_LINK_NETNSID).
func (r *rtnl) under(index int) (under int, away bool, err error) {
	if r.err == nil {
		r.err = r.ask(index)
	}
	if r.err != nil {
		return 0, false, r.err
	}
	return r.answer(index)
}

// answer reads the answer to the last question, which was for the link called index.
// One to a question before it may have come late.
func (r *rtnl) answer(index int) (under int, away bool, err error) {
	for {
		n, _, err := unix.Recvfrom(r.fd, r.buf[:], 0)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			r.err = fmt.Errorf("read link %d: %w", index, err)
			return 0, false, r.err
		}
		messages, err := syscall.ParseNetlinkMessage(r.buf[:n])
		if err != nil {
			return 0, false, fmt.Errorf("read link %d: %w", index, err)
		}
		for i := range messages {
			if messages[i].Header.Seq == r.last {
				return decodeUnder(&messages[i], index)
			}
		}
	}
}

// decodeUnder reads an answer to the question for the link called index.
func decodeUnder(m *syscall.NetlinkMessage, index int) (under int, away bool, err error) {
	if m.Header.Type != unix.RTM_NEWLINK || len(m.Data) < unix.SizeofIfInfomsg {
		return 0, false, fmt.Errorf("read link %d: it is not there", index)
	}
	if got := int(int32(binary.NativeEndian.Uint32(m.Data[4:]))); got != index {
		return 0, false, fmt.Errorf("read link %d: the answer is of link %d", index, got)
	}
	attrs, err := syscall.ParseNetlinkRouteAttr(m)
	if err != nil {
		return 0, false, fmt.Errorf("read link %d: %w", index, err)
	}
	for _, a := range attrs {
		switch {
		case a.Attr.Type == unix.IFLA_LINK && len(a.Value) >= 4:
			under = int(binary.NativeEndian.Uint32(a.Value))
		case a.Attr.Type == unix.IFLA_LINK_NETNSID:
			away = true
		}
	}
	return under, away, nil
}

func (r *rtnl) ask(index int) error {
	if r.fd < 0 {
		fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.NETLINK_ROUTE)
		if err != nil {
			return fmt.Errorf("open netlink socket: %w", err)
		}
		r.fd = fd
		if err := unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Usec: answerWithin}); err != nil {
			return fmt.Errorf("bound the wait of a netlink socket: %w", err)
		}
	}
	r.last++
	if err := unix.Sendto(r.fd, linkRequest(index, r.last), 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
		return fmt.Errorf("ask for link %d: %w", index, err)
	}
	return nil
}

// filterSkipStats is the kernel's RTEXT_FILTER_SKIP_STATS.
const filterSkipStats = 1 << 3

// linkRequest is RTM_GETLINK for one index.
func linkRequest(index int, seq uint32) []byte {
	type request struct {
		unix.NlMsghdr
		unix.IfInfomsg
		mask  unix.RtAttr
		value uint32
	}
	r := request{
		NlMsghdr:  unix.NlMsghdr{Type: unix.RTM_GETLINK, Flags: unix.NLM_F_REQUEST, Seq: seq},
		IfInfomsg: unix.IfInfomsg{Index: int32(index)},
		mask:      unix.RtAttr{Len: 8, Type: unix.IFLA_EXT_MASK},
		value:     filterSkipStats,
	}
	r.Len = uint32(unsafe.Sizeof(r))
	return unsafe.Slice((*byte)(unsafe.Pointer(&r)), r.Len)
}
