package collect

import (
	"encoding/binary"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// endpoints gives a wireguard tunnel the addresses of its peers, as far as they are
// known: a peer that has never been heard of may have none. The kernel answers with
// all that it has, keys too; nothing else of it is read.
func endpoints(l *link) error {
	family, err := netlink.GenlFamilyGet(unix.WG_GENL_NAME)
	if err != nil {
		return err
	}
	answers, err := dump(func() ([][]byte, error) {
		req := nl.NewNetlinkRequest(int(family.ID), unix.NLM_F_DUMP)
		req.AddData(&nl.Genlmsg{Command: unix.WG_CMD_GET_DEVICE, Version: unix.WG_GENL_VERSION})
		req.AddData(nl.NewRtAttr(unix.WGDEVICE_A_IFINDEX, nl.Uint32Attr(uint32(l.Index))))
		return req.Execute(unix.NETLINK_GENERIC, 0)
	})
	for _, answer := range answers {
		for _, r := range decodePeers(answer) {
			l.tunnel.add(r)
		}
	}
	return err
}

// decodePeers reads the peers' endpoints, each a struct sockaddr_in or sockaddr_in6.
func decodePeers(message []byte) []remote {
	if len(message) < nl.SizeofGenlmsg {
		return nil
	}
	var found []remote
	for attr, value := range attrs(message[nl.SizeofGenlmsg:]) {
		if attr != unix.WGDEVICE_A_PEERS {
			continue
		}
		for _, peer := range attrs(value) {
			for attr, value := range attrs(peer) {
				if attr == unix.WGPEER_A_ENDPOINT {
					found = append(found, remote{address: socketAddress(value)})
				}
			}
		}
	}
	return found
}

func socketAddress(b []byte) netip.Addr {
	if len(b) < 2 {
		return netip.Addr{}
	}
	switch family := binary.NativeEndian.Uint16(b); {
	case family == unix.AF_INET && len(b) >= unix.SizeofSockaddrInet4:
		return address(b[4:8])
	case family == unix.AF_INET6 && len(b) >= unix.SizeofSockaddrInet6:
		return address(b[8:24])
	}
	return netip.Addr{}
}
