package collect

import (
	"encoding/binary"
	"iter"
	"net/netip"

	"golang.org/x/sys/unix"
)

// attrs are the netlink attributes in b, as far as they are whole.
func attrs(b []byte) iter.Seq2[uint16, []byte] {
	return func(yield func(uint16, []byte) bool) {
		for len(b) >= unix.SizeofRtAttr {
			size := int(binary.NativeEndian.Uint16(b))
			if size < unix.SizeofRtAttr || size > len(b) {
				return
			}
			// The upper bits are NLA_F_NESTED and NLA_F_NET_BYTEORDER.
			if !yield(binary.NativeEndian.Uint16(b[2:])&0x3fff, b[unix.SizeofRtAttr:size]) {
				return
			}
			b = b[min((size+unix.RTA_ALIGNTO-1)&^(unix.RTA_ALIGNTO-1), len(b)):]
		}
	}
}

// number reads a u32 of this machine; 0 where there is less.
func number(b []byte) int {
	if len(b) < 4 {
		return 0
	}
	return int(int32(binary.NativeEndian.Uint32(b)))
}

// short reads a u16 of this machine; 0 where there is less.
func short(b []byte) uint16 {
	if len(b) < 2 {
		return 0
	}
	return binary.NativeEndian.Uint16(b)
}

// text reads a string up to its NUL.
func text(b []byte) string { return unix.ByteSliceToString(b) }

// address reads an IPv4 or IPv6 address; the zero Addr where it is none, or the
// unspecified one.
func address(b []byte) netip.Addr {
	a, _ := netip.AddrFromSlice(b)
	if a.IsUnspecified() {
		return netip.Addr{}
	}
	return a
}
