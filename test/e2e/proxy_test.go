package e2e

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// Procedures of libvirt's remote protocol (remote_protocol.x).
const (
	procGetXMLDesc            = 14
	procNetworkDefineXML      = 41
	procNetworkLookupByUUID   = 47
	procUpdateDeviceFlags     = 174
	procSetMetadata           = 264
	procManagedSaveGetXMLDesc = 388
)

// between starts a way to the host's libvirtd on which something happens just before
// it gets to hear of a procedure for the nth time. Where then returns false, libvirtd
// never does. It returns the URI of that way.
func between(t *testing.T, h *lab.Host, proc uint32, nth int, then func() bool) string {
	t.Helper()
	return overhear(t, h, func(called uint32) bool {
		if called == proc {
			if nth--; nth == 0 {
				return then()
			}
		}
		return true
	})
}

// overhear starts a way to the host's libvirtd on which hear is told of each procedure,
// one at a time, before libvirtd is; where it returns false libvirtd never is. It returns
// the URI of that way.
func overhear(t *testing.T, h *lab.Host, hear func(proc uint32) bool) string {
	t.Helper()
	const path = "/run/lab/between.sock"
	h.Run(t, "rm", "-f", path)
	l, err := net.Listen("unix", h.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	var mu sync.Mutex
	forward := func(client, daemon net.Conn) error {
		header := make([]byte, 16) // length, program, version, procedure
		if _, err := io.ReadFull(client, header); err != nil {
			return err
		}
		packet := make([]byte, binary.BigEndian.Uint32(header))
		copy(packet, header)
		if _, err := io.ReadFull(client, packet[len(header):]); err != nil {
			return err
		}
		mu.Lock()
		pass := hear(binary.BigEndian.Uint32(header[12:]))
		mu.Unlock()
		if !pass {
			return io.EOF
		}
		_, err := daemon.Write(packet)
		return err
	}
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			daemon, err := net.Dial("unix", h.Path("/run/libvirt/libvirt-sock"))
			if err != nil {
				client.Close()
				return
			}
			go func() {
				defer daemon.Close()
				for forward(client, daemon) == nil {
				}
			}()
			go func() {
				defer client.Close()
				io.Copy(client, daemon)
			}()
		}
	}()
	return "qemu+unix:///system?socket=" + path
}

func TestIntegrationFixInterrupted(t *testing.T) {
	t.Parallel()
	h := jumbo(t)

	// killed runs fix and kills it just before libvirtd hears of a procedure.
	killed := func(t *testing.T, proc uint32, nth int, args ...string) {
		t.Helper()
		hit := make(chan struct{})
		uri := between(t, h, proc, nth, func() bool {
			close(hit)
			h.Run(t, "pkill", "-9", "-x", "virt-mtu")
			return false
		})
		cmd := h.Command(append([]string{bin(t, "virt-mtu"), "fix", "--connect", uri}, args...)...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		err := cmd.Run()
		select {
		case <-hit:
		default:
			t.Fatalf("the procedure was never called: %v %s", err, out.String())
		}
		if err == nil {
			t.Fatalf("fix was not killed: %s", out.String())
		}
	}

	t.Run("between record and device", func(t *testing.T) {
		define(t, h, "kill1", nic("virtio", 0))
		killed(t, procUpdateDeviceFlags, 1, "kill1")
		xml := persistent(t, h, "kill1")
		wantSays(t, "the record", xml, `before="0" set="9000"`)
		if hasMTU(xml, "9000") {
			t.Fatal("killed too late")
		}
		if got := fixed(t, h, "kill1"); got.Action != "inject" {
			t.Errorf("the next run: %+v", got)
		}
		must(t, h, "fix", "--undo", "kill1")
		if hasMTU(persistent(t, h, "kill1"), "9000") {
			t.Error("not undone")
		}
	})

	t.Run("an admin's own value after it is still his", func(t *testing.T) {
		define(t, h, "kill2", nic("virtio", 0))
		killed(t, procUpdateDeviceFlags, 1, "kill2")
		h.Run(t, "bash", "-c", `virsh dumpxml --inactive kill2 | sed "s,<model type='virtio'/>,&<mtu size='2000'/>," >/run/lab/kill2.xml && virsh -q define /run/lab/kill2.xml`)
		if got := fixed(t, h, "kill2"); got.Action != "none" || got.Target != 2000 {
			t.Errorf("%+v", got)
		}
		must(t, h, "fix", "--undo", "kill2")
		if !hasMTU(persistent(t, h, "kill2"), "2000") {
			t.Error("undo took out what an admin wrote")
		}
	})

	t.Run("between device and settled record", func(t *testing.T) {
		define(t, h, "kill3", nic("virtio", 0))
		must(t, h, "fix", "--mtu", "4000", "kill3")
		killed(t, procSetMetadata, 2, "kill3")
		wantSays(t, "the record", persistent(t, h, "kill3"), `set="4000" next="9000"`, "<mtu size='9000'/>")
		must(t, h, "fix", "--undo", "kill3")
		if xml := persistent(t, h, "kill3"); strings.Contains(xml, "<mtu ") {
			t.Errorf("not undone:\n%s", xml)
		}
	})

	t.Run("somebody else changed the definition meanwhile", func(t *testing.T) {
		define(t, h, "race1", nic("virtio", 0))
		uri := between(t, h, procSetMetadata, 1, func() bool {
			h.Run(t, "bash", "-c", `virsh dumpxml --inactive race1 | sed "s,<model type='virtio'/>,&<link state='down'/>," >/run/lab/race1.xml && virsh -q define /run/lab/race1.xml`)
			return true
		})
		if got := fixed(t, h, "--timeout", ample, "--connect", uri, "race1"); got.Action != "inject" {
			t.Errorf("%+v", got)
		}
		wantSays(t, "their change and ours", persistent(t, h, "race1"), "<link state='down'/>", "<mtu size='9000'/>", `before="0" set="9000"`)
	})

	t.Run("undefined meanwhile", func(t *testing.T) {
		define(t, h, "gone1", nic("virtio", 0))
		uri := between(t, h, procSetMetadata, 1, func() bool {
			h.Run(t, "virsh", "-q", "undefine", "gone1")
			return true
		})
		r := virtMTU(t, h, "fix", "--connect", uri, "gone1")
		if r.Exit != 1 || r.Stderr == "" {
			t.Errorf("exit %d: %s", r.Exit, r.Stderr)
		}
		if list := h.Run(t, "virsh", "-q", "list", "--all", "--name"); strings.Contains(list, "gone1") {
			t.Error("it was brought back")
		}
	})

	t.Run("started meanwhile", func(t *testing.T) {
		define(t, h, "started1", nic("virtio", 0))
		uri := between(t, h, procSetMetadata, 1, func() bool {
			start(t, h, "started1")
			return true
		})
		must(t, h, "fix", "--timeout", ample, "--connect", uri, "started1")
		if !hasMTU(persistent(t, h, "started1"), "9000") || hasMTU(live(t, h, "started1"), "9000") {
			t.Error("not the definition alone")
		}
		destroy(t, h, "started1")
	})

	t.Run("libvirtd ends in the middle", func(t *testing.T) {
		define(t, h, "lost1", nic("virtio", 0))
		uri := between(t, h, procUpdateDeviceFlags, 1, func() bool {
			h.Libvirtd(t, "stop")
			return false
		})
		began := time.Now()
		r := virtMTU(t, h, "fix", "--connect", uri, "lost1")
		if r.Exit != 1 || time.Since(began) > 30*time.Second {
			t.Errorf("exit %d after %v", r.Exit, time.Since(began))
		}
		wantSays(t, "stderr", r.Stderr, "connection to libvirt lost")
		h.Libvirtd(t, "start")
		if got := fixed(t, h, "lost1"); got.Action != "inject" {
			t.Errorf("again: %+v", got)
		}
	})
}
