package probe

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"golang.org/x/sys/unix"
)

// ErrPrivilege: this user may open neither raw sockets nor unprivileged ICMP sockets.
var ErrPrivilege = errors.New("no permission to send ICMP echo requests")

// socket sends echo requests to one address, which nobody may fragment, and reads what
// comes back.
//
// The kernel's cache of path MTUs must neither keep a request back nor learn from the
// errors that it causes. IP_PMTUDISC_PROBE does the first alone: an error that comes to
// such a socket still goes into the cache (ip_sk_accept_pmtu). IP_PMTUDISC_INTERFACE
// does both, but over IPv4 it also leaves DF out. So:
//   - raw, IPv4: INTERFACE, and a header of our own that has DF;
//   - unprivileged, IPv4: two sockets with one identifier. PROBE has the one that sends.
//     The one with INTERFACE was bound last, so the kernel finds it first for all that
//     comes back (ping_lookup);
//   - IPv6 knows no DF, and INTERFACE is enough for what is sent. But the kernel learns
//     from every error that quotes an echo request, whoever has sent that
//     (icmpv6_err, net/ipv6/icmp.c): see pathCache.
type socket struct {
	echo
	addr netip.Addr // without its zone
	to   unix.Sockaddr
	raw  bool
	in   int // what comes back
	out  int // sends; the same but for unprivileged IPv4
	buf  []byte
	oob  []byte
}

// heard is what came back of one request.
type heard struct {
	seq uint16
	Event
}

const socketFlags = unix.SOCK_CLOEXEC | unix.SOCK_NONBLOCK

// openSocket opens a socket for an address: raw or, where that is not permitted,
// unprivileged. zone is the index of its link, of a link-local one. Errors:
// ErrPrivilege; routeError.
func openSocket(addr netip.Addr, zone int) (*socket, error) {
	s := &socket{addr: addr.WithZone(""), in: -1, out: -1, buf: make([]byte, 1<<16), oob: make([]byte, 512)}
	s.family = family(addr)
	s.to = sockaddr(s.addr, zone, 0)
	rand.Read(s.cookie[:])
	err := s.openRaw()
	if denied(err) {
		s.close()
		s.raw = false
		if err = s.openPing(); denied(err) {
			err = ErrPrivilege
		}
	}
	if err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

// denied: the socket itself, and not a way to the address.
func denied(err error) bool {
	return !errors.As(err, new(routeError)) && (errors.Is(err, unix.EPERM) || errors.Is(err, unix.EACCES))
}

func family(addr netip.Addr) int {
	if addr.Is4() {
		return 4
	}
	return 6
}

func sockaddr(addr netip.Addr, zone, port int) unix.Sockaddr {
	if addr.Is4() {
		return &unix.SockaddrInet4{Port: port, Addr: addr.As4()}
	}
	return &unix.SockaddrInet6{Port: port, Addr: addr.As16(), ZoneId: uint32(zone)}
}

// openRaw needs CAP_NET_RAW. Errors about packets to other addresses do not come to a
// socket that is connected.
func (s *socket) openRaw() error {
	var err error
	if s.in, err = s.open(unix.SOCK_RAW); err != nil {
		return err
	}
	s.raw, s.out = true, s.in
	var id [2]byte
	rand.Read(id[:])
	s.id = binary.BigEndian.Uint16(id[:])
	if s.family == 4 {
		const all = ^uint32(0) // a bit a type that is kept back
		err = set(s.in, option{unix.SOL_RAW, unix.ICMP_FILTER, int(all &^ (1 << echoReply[4]))},
			option{unix.SOL_IP, unix.IP_HDRINCL, 1}, discover(4, unix.IP_PMTUDISC_INTERFACE))
	} else {
		f := unix.ICMPv6Filter{}
		for i := range f.Data {
			f.Data[i] = ^uint32(0)
		}
		f.Data[echoReply[6]/32] &^= 1 << (echoReply[6] % 32)
		if err = unix.SetsockoptICMPv6Filter(s.in, unix.SOL_ICMPV6, unix.ICMPV6_FILTER, &f); err == nil {
			err = set(s.in, discover(6, unix.IPV6_PMTUDISC_INTERFACE))
		}
	}
	if err != nil {
		return fmt.Errorf("set up raw socket: %w", err)
	}
	if err := unix.Connect(s.in, s.to); err != nil {
		return routeError{err}
	}
	return nil
}

// openPing needs a group that net.ipv4.ping_group_range names, which is for both IP
// versions.
func (s *socket) openPing() error {
	var err error
	if s.out, err = s.open(unix.SOCK_DGRAM); err != nil {
		return err
	}
	s.in = s.out
	any := sockaddr(netip.IPv4Unspecified(), 0, 0)
	if s.family == 6 {
		any = sockaddr(netip.IPv6Unspecified(), 0, 0)
	}
	how := map[int]int{4: unix.IP_PMTUDISC_PROBE, 6: unix.IPV6_PMTUDISC_INTERFACE}[s.family]
	share := option{unix.SOL_SOCKET, unix.SO_REUSEADDR, 1}
	if err := set(s.out, discover(s.family, how), share); err != nil {
		return fmt.Errorf("set up ICMP socket: %w", err)
	}
	if err := unix.Bind(s.out, any); err != nil {
		return fmt.Errorf("bind ICMP socket: %w", err)
	}
	name, err := unix.Getsockname(s.out)
	if err != nil {
		return fmt.Errorf("read identifier of ICMP socket: %w", err)
	}
	if sa, ok := name.(*unix.SockaddrInet6); ok {
		s.id = uint16(sa.Port)
		return nil
	}
	s.id = uint16(name.(*unix.SockaddrInet4).Port)

	if s.in, err = s.open(unix.SOCK_DGRAM); err != nil {
		return err
	}
	if err := set(s.in, discover(4, unix.IP_PMTUDISC_INTERFACE), share); err != nil {
		return fmt.Errorf("set up ICMP socket: %w", err)
	}
	if err := unix.Bind(s.in, sockaddr(netip.IPv4Unspecified(), 0, int(s.id))); err != nil {
		return fmt.Errorf("bind ICMP socket: %w", err)
	}
	return nil
}

// open opens a socket that tells of errors and of fragments.
func (s *socket) open(kind int) (int, error) {
	domain, proto := unix.AF_INET, unix.IPPROTO_ICMP
	tell := []option{{unix.SOL_IP, unix.IP_RECVERR, 1}, {unix.SOL_IP, unix.IP_RECVFRAGSIZE, 1}}
	if s.family == 6 {
		domain, proto = unix.AF_INET6, unix.IPPROTO_ICMPV6
		tell = []option{{unix.SOL_IPV6, unix.IPV6_RECVERR, 1}, {unix.SOL_IPV6, unix.IPV6_RECVFRAGSIZE, 1}}
	}
	fd, err := unix.Socket(domain, kind|socketFlags, proto)
	if err != nil {
		return -1, fmt.Errorf("open ICMP socket: %w", err)
	}
	// An answer in many fragments takes several times its size, and a few may be waiting.
	room := option{unix.SOL_SOCKET, unix.SO_RCVBUF, 1 << 20}
	if err := set(fd, append(tell, room)...); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("set up ICMP socket: %w", err)
	}
	return fd, nil
}

type option struct{ level, name, value int }

func discover(family, how int) option {
	if family == 4 {
		return option{unix.SOL_IP, unix.IP_MTU_DISCOVER, how}
	}
	return option{unix.SOL_IPV6, unix.IPV6_MTU_DISCOVER, how}
}

func set(fd int, options ...option) error {
	for _, o := range options {
		if err := unix.SetsockoptInt(fd, o.level, o.name, int(int32(o.value))); err != nil {
			return err
		}
	}
	return nil
}

// routeError is what keeps packets of any size from leaving.
type routeError struct{ error }

func (e routeError) Unwrap() error { return e.error }

func (s *socket) close() {
	for _, fd := range slices.Compact([]int{s.in, s.out}) {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	s.in, s.out = -1, -1
}

// send sends a request of size bytes of IP packet. What it has heard meanwhile may be of
// others; where this host did not let it out, for its size, that is among it.
func (s *socket) send(size int, seq uint16) ([]heard, error) {
	b := s.request(size, seq)
	if s.raw && s.family == 4 {
		b = packet4(s.addr.As4(), b)
	}
	var all []heard
	var err error
	// An error that has come for an earlier one is told instead of sending.
	for range 4 {
		err = unix.Sendto(s.out, b, 0, s.to)
		for _, h := range s.errors() {
			if h.Outcome == Refused {
				h.seq, h.Size = seq, size
				return append(all, h), nil
			}
			all = append(all, h)
		}
		if err == nil {
			return all, nil
		}
	}
	if errors.Is(err, unix.EMSGSIZE) {
		return append(all, heard{seq, Event{Size: size, Outcome: Refused}}), nil
	}
	return all, routeError{err}
}

// wait waits until there is something to be read, or so many milliseconds.
func (s *socket) wait(milliseconds int) error {
	fds := []unix.PollFd{{Fd: int32(s.in), Events: unix.POLLIN}}
	if s.out != s.in {
		fds = append(fds, unix.PollFd{Fd: int32(s.out), Events: unix.POLLIN})
	}
	if _, err := unix.Poll(fds, milliseconds); err != nil && !errors.Is(err, unix.EINTR) {
		return fmt.Errorf("wait for answers: %w", err)
	}
	return nil
}

// flood bounds what is read at once: others may send faster than it is read.
const flood = 256

// read returns what has come back so far. The size of an answer is its event's; of an
// error only the sequence number is known.
func (s *socket) read() []heard {
	var all []heard
	for range flood {
		n, oobn, _, from, err := unix.Recvmsg(s.in, s.buf, s.oob, 0)
		if errors.Is(err, unix.EAGAIN) {
			break
		}
		if err == nil && s.isTarget(from) {
			if h, ok := s.answer(s.buf[:n], s.oob[:oobn]); ok {
				all = append(all, h)
			}
		} // else an error of an earlier packet, whose details are in the error queue
	}
	return append(all, s.errors()...)
}

func (s *socket) answer(b, oob []byte) (heard, bool) {
	if s.raw && s.family == 4 {
		b = unwrap4(b)
	}
	seq, size, ok := s.reply(b)
	if !ok {
		return heard{}, false
	}
	h := heard{seq, Event{Size: size, Outcome: Answered}}
	if f, ok := control(oob, unix.SOL_IP, unix.IP_RECVFRAGSIZE, unix.SOL_IPV6, unix.IPV6_RECVFRAGSIZE); ok && len(f) >= 4 {
		h.Outcome, h.MTU = Fragmented, int(binary.NativeEndian.Uint32(f))
	}
	return h, true
}

// errors returns what is in the error queue.
func (s *socket) errors() []heard {
	var all []heard
	for _, fd := range slices.Compact([]int{s.in, s.out}) {
		for range flood {
			n, oobn, _, to, err := unix.Recvmsg(fd, s.buf, s.oob, unix.MSG_ERRQUEUE)
			if err != nil {
				break
			}
			if h, ok := s.errorOf(s.buf[:n], s.oob[:oobn], to); ok {
				all = append(all, h)
			}
		}
		// The error itself stays, and would be told instead of the next packet being sent.
		unix.GetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_ERROR)
	}
	return all
}

// errorOf reads one error: quoted is what it quotes of our request, to where that went.
func (s *socket) errorOf(quoted, oob []byte, to unix.Sockaddr) (heard, bool) {
	b, ok := control(oob, unix.SOL_IP, unix.IP_RECVERR, unix.SOL_IPV6, unix.IPV6_RECVERR)
	const size = 16 // struct sock_extended_err
	if !ok || len(b) < size {
		return heard{}, false
	}
	origin, kind, code := b[4], b[5], b[6]
	h := heard{Event: Event{MTU: int(binary.NativeEndian.Uint32(b[8:]))}}
	if origin == unix.SO_EE_ORIGIN_LOCAL {
		h.Outcome = Refused
		return h, binary.NativeEndian.Uint32(b) == uint32(unix.EMSGSIZE)
	}
	if s.raw && s.family == 4 {
		quoted = unwrap4(quoted)
	}
	if h.seq, ok = s.quoted(quoted); !ok || !s.isTarget(to) {
		return h, false
	}
	h.From = offender(b[size:])
	switch {
	case origin == unix.SO_EE_ORIGIN_ICMP && kind == 3 && code == 4, origin == unix.SO_EE_ORIGIN_ICMP6 && kind == 2:
		h.Outcome = TooBig
	case origin == unix.SO_EE_ORIGIN_ICMP || origin == unix.SO_EE_ORIGIN_ICMP6:
		h.Outcome, h.Why, h.MTU = Unreachable, reason(origin, kind, code), 0
	default:
		return h, false
	}
	return h, true
}

func (s *socket) isTarget(from unix.Sockaddr) bool {
	switch sa := from.(type) {
	case *unix.SockaddrInet4:
		return netip.AddrFrom4(sa.Addr) == s.addr
	case *unix.SockaddrInet6:
		return netip.AddrFrom16(sa.Addr) == s.addr
	}
	return false
}

// control finds the control message of one of two kinds.
func control(oob []byte, level4, type4, level6, type6 int) ([]byte, bool) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, false
	}
	for _, m := range messages {
		l, t := int(m.Header.Level), int(m.Header.Type)
		if l == level4 && t == type4 || l == level6 && t == type6 {
			return m.Data, true
		}
	}
	return nil, false
}

// offender reads the sockaddr behind a sock_extended_err: who sent the error.
func offender(b []byte) string {
	switch {
	case len(b) >= 8 && binary.NativeEndian.Uint16(b) == unix.AF_INET:
		return netip.AddrFrom4([4]byte(b[4:8])).String()
	case len(b) >= 24 && binary.NativeEndian.Uint16(b) == unix.AF_INET6:
		return netip.AddrFrom16([16]byte(b[8:24])).Unmap().String()
	}
	return ""
}

// reason says what an ICMP error other than "too big" means.
func reason(origin, kind, code byte) string {
	type icmp struct{ origin, kind, code byte }
	const v4, v6 = unix.SO_EE_ORIGIN_ICMP, unix.SO_EE_ORIGIN_ICMP6
	known := map[icmp]string{
		{v4, 3, 0}: "network unreachable", {v4, 3, 1}: "host unreachable", {v4, 3, 2}: "no ICMP there",
		{v4, 3, 9}: "network prohibited", {v4, 3, 10}: "host prohibited", {v4, 3, 13}: "prohibited",
		{v4, 11, 0}: "hop limit exceeded (a routing loop?)", {v4, 11, 1}: "fragments missing",
		{v6, 1, 0}: "no route", {v6, 1, 1}: "prohibited", {v6, 1, 3}: "host unreachable", {v6, 1, 6}: "route rejected",
		{v6, 3, 0}: "hop limit exceeded (a routing loop?)", {v6, 3, 1}: "fragments missing",
	}
	if s := known[icmp{origin, kind, code}]; s != "" {
		return s
	}
	return fmt.Sprintf("ICMP type %d, code %d", kind, code)
}
