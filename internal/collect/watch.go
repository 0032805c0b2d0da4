package collect

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
)

// receiveBuffer is how much the kernel may keep for a Watch that is busy, in bytes. It
// takes memory only for what waits, and is enough for 9,000 changes of a tap's MTU.
const receiveBuffer = 16 << 20

// maxDatagram is more than the kernel ever says of a link at once.
const maxDatagram = 64 << 10

// Change is what the kernel told of one link.
type Change struct {
	// Link as far as its message tells: name, index, MTU, the kernel's kind (none for
	// hardware), whether it is a tap, its master. Not filled: Lower, Peer, Tunnel,
	// Manager.
	Link host.Link
	// Gone: the link was deleted, or moved to another network namespace.
	Gone bool
	// Resync: there is no Link. Messages were lost, or these are the first: what the
	// caller knows of any link may be wrong.
	Resync bool
}

// Watch calls changed for every message of the kernel's about a link of this network
// namespace, one at a time, until ctx ends; it returns nil then. One change by one
// command makes several messages, some of them the same.
//
// The first call is a Resync, after which no change is missed: look at everything on
// Resync, and then at each Link. While changed runs, messages wait. When there are too
// many, they are dropped and a Resync takes their place.
func Watch(ctx context.Context, changed func(Change)) error {
	return watch(ctx, receiveBuffer, changed)
}

func watch(ctx context.Context, buffer int, changed func(Change)) error {
	file, err := subscribe(buffer)
	if err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	defer file.Close()
	conn, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch links: %w", err)
	}
	defer context.AfterFunc(ctx, func() { _ = file.SetReadDeadline(time.Now()) })()

	w := watcher{conn: conn, buffer: make([]byte, maxDatagram), changed: changed}
	changed(Change{Resync: true})
	for {
		n, err := file.Read(w.buffer)
		if err == nil {
			err = w.decode(w.buffer[:n])
		}
		if errors.Is(err, unix.ENOBUFS) {
			if err = w.drain(); err == nil {
				changed(Change{Resync: true})
			}
		}
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil // nothing but the end of ctx sets a deadline
		case err != nil:
			return fmt.Errorf("watch links: %w", err)
		}
	}
}

// subscribe opens a socket on which the kernel tells of every link. Only who may change
// links may send to it besides the kernel, so senders are not looked at.
func subscribe(buffer int) (*os.File, error) {
	fd, err := unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, unix.NETLINK_ROUTE)
	if err != nil {
		return nil, os.NewSyscallError("socket", err)
	}
	// A file that does not block waits in the runtime's poller and has deadlines.
	file := os.NewFile(uintptr(fd), "netlink")
	if unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUFFORCE, buffer) != nil {
		// Not root: as much as net.core.rmem_max allows. Less means a Resync sooner.
		_ = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVBUF, buffer)
	}
	links := &unix.SockaddrNetlink{Family: unix.AF_NETLINK, Groups: 1 << (unix.RTNLGRP_LINK - 1)}
	if err := unix.Bind(fd, links); err != nil {
		file.Close()
		return nil, os.NewSyscallError("bind", err)
	}
	return file, nil
}

type watcher struct {
	conn    syscall.RawConn
	buffer  []byte
	changed func(Change)
}

// drain empties the queue. The kernel says ENOBUFS once and then drops every message
// until the queue is empty (netlink_overrun and netlink_rcv_wake in af_netlink.c): what
// a caller looked at before that would go stale without a word.
func (w *watcher) drain() error {
	for {
		var err error
		polled := w.conn.Read(func(fd uintptr) bool {
			_, err = unix.Read(int(fd), w.buffer)
			return true // never wait
		})
		switch {
		case polled != nil:
			return polled
		case err == unix.EAGAIN:
			return nil
		case err != nil && err != unix.ENOBUFS && err != unix.EINTR:
			return err
		}
	}
}

// decode hands on the messages of a datagram. One that is cut short is ENOBUFS too:
// what it said is lost.
func (w *watcher) decode(b []byte) error {
	for len(b) > 0 {
		if len(b) < unix.SizeofNlMsghdr {
			return unix.ENOBUFS
		}
		size := int(binary.NativeEndian.Uint32(b))
		if size < unix.SizeofNlMsghdr || size > len(b) {
			return unix.ENOBUFS
		}
		w.tell(binary.NativeEndian.Uint16(b[4:]), b[unix.SizeofNlMsghdr:size])
		b = b[min((size+unix.NLMSG_ALIGNTO-1)&^(unix.NLMSG_ALIGNTO-1), len(b)):]
	}
	return nil
}

func (w *watcher) tell(kind uint16, message []byte) {
	if kind != unix.RTM_NEWLINK && kind != unix.RTM_DELLINK {
		return
	}
	// A bridge tells of its ports in messages of its own family. Theirs is a DELLINK
	// when a port leaves: the link is still there, and its own message says the same.
	if len(message) == 0 || message[0] != unix.AF_UNSPEC {
		return
	}
	l, ok := decodeLink(message)
	if !ok {
		return
	}
	if l.master != 0 {
		l.Master = w.nameOf(l.master)
	}
	w.changed(Change{Link: l.Link, Gone: kind == unix.RTM_DELLINK})
}

// nameOf returns the name that a link has now, empty where it is gone. To ask takes 3 µs;
// a table of names would be wrong after a message that was lost.
func (w *watcher) nameOf(index int) string {
	var request unix.Ifreq
	request.SetUint32(uint32(index))
	_ = w.conn.Control(func(fd uintptr) { _ = unix.IoctlIfreq(int(fd), unix.SIOCGIFNAME, &request) })
	return request.Name()
}
