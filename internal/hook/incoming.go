package hook

import (
	"fmt"
	"os"
	"strings"
	"time"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/state"
)

// guest is what is the same of a guest in each XML on its way in, from migrate or
// restore to started, and what nobody may change there: the ABI check of libvirt holds
// MAC, model and <mtu> fast (virDomainNetDefCheckABIStability), and a UUID belongs to one
// name. So a mark is no other domain's, nor that of this one's definition with another
// NIC, and who brings a domain with somebody else's UUID gets it for what he brought.
func guest(doc *domxml.Document) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q", doc.Name)
	for _, n := range doc.NICs {
		fmt.Fprintf(&b, " %q %q %d", n.MAC, n.Model, n.MTU)
	}
	return b.String()
}

// incoming reports whether the guest came in by migrate or restore, and has to be
// taken as it is. Where that cannot be known it might have.
func (c *call) incoming(doc *domxml.Document) bool {
	dir, err := state.Open(state.DefaultBase)
	if err != nil {
		c.say(priError, "%v", err)
		return true
	}
	defer dir.Close()
	since, ok := dir.Incoming(doc.UUID, guest(doc))
	return ok && !definedSince(definitions, doc.Name, since)
}

// definitions is where libvirt keeps those of the domains.
const definitions = "/etc/libvirt/qemu/"

// definedSince reports whether a domain's definition was written after a moment. libvirt
// writes that of a guest that comes in when it has come (qemuMigrationDstFinish), so one
// that is newer than the mark tells that this is over, and the start another: after an
// offline migration none comes of itself, and its migrate looks like any. A time ahead of
// now, of a clock that was set or another host's, tells nothing.
func definedSince(folder, name string, when time.Time) bool {
	if strings.ContainsAny(name, "/\x00") { // no domain of libvirt's
		return false
	}
	info, err := os.Lstat(folder + name + ".xml")
	return err == nil && !info.ModTime().Before(when) && !info.ModTime().After(time.Now())
}
