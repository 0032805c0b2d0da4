package collect

import (
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// remotesOfFDB adds to each vxlan that has no remote of its own those that its
// forwarding entries name. It costs one dump of all the host's entries, so only
// where there is such a vxlan.
func remotesOfFDB(links []link) error {
	ask := map[int]*tunnel{}
	for i := range links {
		if l := &links[i]; l.Kind == "vxlan" && len(l.tunnel.remotes) == 0 {
			ask[l.Index] = l.tunnel
		}
	}
	if len(ask) == 0 {
		return nil
	}
	answers, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(unix.RTM_GETNEIGH, unix.NLM_F_DUMP)
		req.AddData(nl.NewIfInfomsg(unix.AF_BRIDGE))
		return req.Execute(unix.NETLINK_ROUTE, unix.RTM_NEWNEIGH)
	})
	for _, answer := range answers {
		if index, r := decodeFDB(answer); ask[index] != nil {
			ask[index].add(r)
		}
	}
	return err
}

// decodeFDB reads an RTM_NEWNEIGH message of a forwarding entry: which link's, and
// where it leads.
func decodeFDB(message []byte) (int, remote) {
	if len(message) < unix.SizeofNdMsg {
		return 0, remote{}
	}
	var r remote
	for attr, value := range attrs(message[unix.SizeofNdMsg:]) {
		switch attr {
		case unix.NDA_DST:
			r.address = address(value)
		case unix.NDA_IFINDEX:
			r.bound = number(value)
		}
	}
	return number(message[4:]), r
}
