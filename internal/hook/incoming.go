package hook

import (
	"fmt"
	"strings"

	"virt-mtu/internal/domxml"
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

// starts reports whether a start follows the operation: after an offline migration, of
// a domain that does not run, none does. A mark would be left for whatever start comes.
func starts(op operation, doc *domxml.Document) bool { return !op.arrive || doc.Resource }
