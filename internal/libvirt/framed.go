package libvirt

import (
	"encoding/binary"
	"fmt"
	"net"
)

// framed looks at what comes in before go-libvirt does, which makes as much room as a
// packet claims to need, and panics where it claims less than its header. The libvirt of
// this host is believed; of another's it is not even known that it is one.
type framed struct {
	net.Conn
	head []byte // of the packet that is coming in: as much as is looked at
	left uint32 // bytes of it that are still to come, beyond those
	err  error
}

// Lengths in bytes (src/rpc/virnetprotocol.x).
const (
	headerLen = 4 + 24 // length, program, version, procedure, type, serial, status
	// maxPacket is far above what is asked for, and below libvirt's own limit of 32 MiB.
	maxPacket = 16 << 20
)

// Fields of the header, by their offsets, and their values.
const (
	programAt, typeAt, statusAt = 4, 16, 24
	typeReply, statusOK         = 1, 0
)

// programs are those of libvirt's daemon: its own, QEMU's, and keepalive.
var programs = map[uint32]bool{0x20008086: true, 0x20008087: true, 0x6b656570: true}

func (f *framed) Read(b []byte) (int, error) {
	if f.err != nil {
		return 0, f.err
	}
	n, err := f.Conn.Read(b)
	for rest := b[:n]; len(rest) > 0 && f.err == nil; {
		rest = f.look(rest)
	}
	if f.err != nil {
		return 0, f.err
	}
	return n, err
}

// look takes some bytes, and returns those that it has not taken.
func (f *framed) look(b []byte) []byte {
	if f.left > 0 {
		n := min(int(f.left), len(b))
		f.left -= uint32(n)
		return b[n:]
	}
	want := headerLen
	if len(f.head) >= headerLen {
		want += 4 // the first number of the answer
	}
	n := min(want-len(f.head), len(b))
	f.head = append(f.head, b[:n]...)
	if len(f.head) < want {
		return b[n:]
	}
	number := func(at int) uint32 { return binary.BigEndian.Uint32(f.head[at:]) }
	length := number(0)
	if want == headerLen {
		switch {
		case length < headerLen || length > maxPacket || !programs[number(programAt)]:
			f.err = fmt.Errorf("%w: it begins with %.24q", ErrForeign, f.head)
		case length >= headerLen+4:
			return b[n:] // with the first number
		default:
			f.left, f.head = length-headerLen, nil
		}
		return b[n:]
	}
	// Of a list or a string that is how long it is; of the rest a small number.
	if number(typeAt) == typeReply && number(statusAt) == statusOK && number(headerLen) > length-headerLen {
		f.err = fmt.Errorf("%w: an answer of %d bytes says that there are %d", ErrForeign, length, number(headerLen))
	}
	f.left, f.head = length-headerLen-4, nil
	return b[n:]
}
