package main

import (
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"virt-mtu/internal/domxml"
)

// A libvirt elsewhere that answers each question in time, but only just, is not asked
// for as long as there are questions.
func TestAskHostEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	var asked atomic.Int32
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				for answerSlowly(c, &asked) == nil {
				}
			}()
		}
	}()
	const bridges = 400
	var nics []domxml.NIC
	for i := range bridges {
		nics = append(nics, domxml.NIC{Type: "bridge", Bridge: fmt.Sprintf("br%d", i)})
	}
	d := askHost(context.Background(), "qemu+unix:///system?socket="+path, 100*time.Millisecond, nics, func(error, string) {})
	if d.Err != nil {
		t.Fatal(d.Err)
	}
	if n := asked.Load(); n == 0 || n > bridges/2 {
		t.Errorf("asked for %d links of %d", n, bridges)
	}
	if len(d.Facts.Unread) == 0 || !strings.Contains(d.Facts.Unread[len(d.Facts.Unread)-1], "answer") {
		t.Errorf("%q", d.Facts.Unread)
	}
}

// answerSlowly answers one call: that all is well, that there is nothing, or, slowly, that
// a link could not be looked up.
func answerSlowly(c net.Conn, asked *atomic.Int32) error {
	const interfaceLookupByName, authList = 128, 66 // REMOTE_PROC_*, remote_protocol.x
	head := make([]byte, 28)
	if _, err := io.ReadFull(c, head); err != nil {
		return err
	}
	if _, err := io.CopyN(io.Discard, c, int64(binary.BigEndian.Uint32(head))-28); err != nil {
		return err
	}
	put := binary.BigEndian.PutUint32
	put(head[16:], 1) // a reply
	body := make([]byte, 8)
	switch binary.BigEndian.Uint32(head[12:]) {
	case authList:
		put(body, 1) // none is needed
	case interfaceLookupByName:
		asked.Add(1)
		time.Sleep(50 * time.Millisecond)
		put(head[24:], 1) // an error: its code, domain and message
		body = append([]byte{0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4}, "busy"...)
		body = append(body, make([]byte, 64)...)
	}
	put(head, uint32(len(head)+len(body)))
	_, err := c.Write(append(head, body...))
	return err
}
