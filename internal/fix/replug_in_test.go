package fix

import (
	"encoding/binary"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/state"
)

// slowLibvirt is a daemon that loses the connection over the first attempt to plug a NIC
// in, does it when it is asked again, and refuses that one: as one does that was slow.
type slowLibvirt struct {
	mu       sync.Mutex
	attempts int
	coming   string // the first interface
	late     string // the one that is in; empty: none
	stops    bool   // with the second attempt
}

// Procedures (remote_protocol.x).
const (
	procGetXML   = 14
	procAuthList = 66
	procActive   = 150
	procAttach   = 160
	procState    = 212
)

func (s *slowLibvirt) serve(c net.Conn) {
	defer c.Close()
	for {
		head := make([]byte, 28)
		if _, err := io.ReadFull(c, head); err != nil {
			return
		}
		in := make([]byte, binary.BigEndian.Uint32(head)-28)
		if _, err := io.ReadFull(c, in); err != nil {
			return
		}
		body := make([]byte, 8)
		put := binary.BigEndian.PutUint32
		put(head[16:], 1) // a reply
		s.mu.Lock()
		switch binary.BigEndian.Uint32(head[12:]) {
		case procAuthList:
			put(body, 1) // none is needed
		case procState, procActive:
			if !s.stops || s.attempts < 2 {
				put(body, 1)
			}
		case procGetXML:
			text := "<domain><name>web1</name><devices>" + s.late + "</devices></domain>"
			body = binary.BigEndian.AppendUint32(nil, uint32(len(text)))
			body = append(append(body, text...), make([]byte, -len(text)&3)...)
		case procAttach:
			if s.attempts++; s.attempts == 1 {
				s.mu.Unlock()
				return
			}
			s.late = s.coming
			put(head[24:], 1) // an error: its code, domain, message and the rest
			body = append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4}, "busy"...)
			body = append(body, make([]byte, 64)...)
		}
		s.mu.Unlock()
		put(head, uint32(len(head)+len(body)))
		if _, err := c.Write(append(head, body...)); err != nil {
			return
		}
	}
}

// A NIC of which libvirt says late that it is in is not said to be out.
func TestInAfterAll(t *testing.T) {
	const mac = "52:54:00:00:00:01"
	nic := func(mtu string) string {
		return "<interface type='bridge'><mac address='" + mac + "'/><source bridge='br0'/>" + mtu + "</interface>"
	}
	fresh, old := nic("<mtu size='9000'/>"), nic("")
	for name, c := range map[string]struct {
		coming  string
		want    string // of the error; empty: none
		noted   bool
		stopped bool
	}{
		"as it should be": {fresh, "", false, false},
		"as it was":       {nic("<mtu size='1600'/>"), "it is in, with <mtu> 1600", false, false},
		"not at all":      {"", "THE GUEST IS WITHOUT IT", true, false},
		"stopped":         {"", errStopped.Error(), false, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sock")
			l, err := net.Listen("unix", path)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			s := &slowLibvirt{coming: c.coming, stops: c.stopped}
			go func() {
				for {
					conn, err := l.Accept()
					if err != nil {
						return
					}
					go s.serve(conn)
				}
			}()
			dir, err := state.Open(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			defer dir.Close()
			dial := func() (*libvirt.Conn, error) {
				return libvirt.Dial(t.Context(), "qemu:///system?socket="+path, time.Minute)
			}
			p := plug{Replug: &Replug{Record: dir, Dial: dial}, mac: mac, mtu: 9000,
				domain: libvirt.Domain{Name: "web1", UUID: "0b9bd0f1-6d0f-4b5c-9d4e-4d8f1d7d2a11"}}
			defer p.close()
			if _, err := p.note(old); err != nil {
				t.Fatal(err)
			}
			err = p.in(fresh, old)
			if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
				t.Errorf("%v", err)
			}
			xml, err := dir.Unplugged(p.domain.UUID)
			if err != nil || (xml != "") != c.noted {
				t.Errorf("%v, noted %q", err, xml)
			}
		})
	}
}
