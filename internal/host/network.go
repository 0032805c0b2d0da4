package host

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// Where libvirt keeps its networks: an active one has a status file, which is what
// holds until it is stopped, whatever the definition says by then.
const (
	liveNetworks    = "/run/libvirt/network"
	definedNetworks = "/etc/libvirt/qemu/networks"
)

// maxNetwork bounds a network's XML, in bytes. libvirt carries no string above
// 4 MiB (REMOTE_STRING_MAX).
const maxNetwork = 4 << 20

// ReadNetworks reads the named libvirt networks from libvirt's own files, without
// libvirt, which a hook must not ask. A network that has no file is left out. The
// error joins what is wrong with files that are there; the other networks are good.
func ReadNetworks(names []string) ([]Network, error) {
	var networks []Network
	var errs []error
	live, err := listed(liveNetworks, names)
	errs = append(errs, err)
	defined, err := listed(definedNetworks, names)
	errs = append(errs, err)
	for i, name := range names {
		if slices.Contains(names[:i], name) {
			continue
		}
		dir := liveNetworks
		if !live[name] {
			dir = definedNetworks
			if !defined[name] {
				continue
			}
		}
		n, err := readNetwork(dir, name)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if live[name] && defined[name] {
			definition, err := readNetwork(definedNetworks, name)
			if err == nil {
				n.Redefine(definition)
			}
			errs = append(errs, err)
		}
		networks = append(networks, n)
	}
	return networks, errors.Join(errs...)
}

// listed returns which of the names have a file in dir. Names come from domain
// XML: one that the folder itself lists, and no other, becomes part of a path.
func listed(dir string, names []string) (map[string]bool, error) {
	if len(names) == 0 {
		return nil, nil
	}
	d, err := os.Open(dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	defer d.Close()
	files, err := d.Readdirnames(-1)
	if err != nil {
		return nil, fmt.Errorf("list networks: %w", err)
	}
	found := map[string]bool{}
	for _, name := range names {
		if slices.Contains(files, name+".xml") {
			found[name] = true
		}
	}
	return found, nil
}

func readNetwork(dir, name string) (Network, error) {
	// O_NONBLOCK: a FIFO in its place must not hold a guest up.
	f, err := os.OpenFile(filepath.Join(dir, name+".xml"), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return Network{}, fmt.Errorf("read network %q: %w", name, err)
	}
	defer f.Close()
	src, err := io.ReadAll(io.LimitReader(f, maxNetwork+1))
	if err != nil {
		return Network{}, fmt.Errorf("read network %q: %w", name, err)
	}
	n, err := ParseNetwork(src)
	if err != nil {
		return Network{}, fmt.Errorf("read network %q: %s: %w", name, f.Name(), err)
	}
	if n.Name != name {
		return Network{}, fmt.Errorf("read network %q: %s: it is called %q there", name, f.Name(), n.Name)
	}
	return n, nil
}

// Redefine notes what the definition of a network that runs says otherwise.
func (n *Network) Redefine(definition Network) {
	if definition.MTU != n.MTU {
		n.Redefined, n.DefinedMTU = true, definition.MTU
	}
}

// networkXML is what is wanted of libvirt's <network>.
type networkXML struct {
	Name    string `xml:"name"`
	Forward *struct {
		Mode string `xml:"mode,attr"`
	} `xml:"forward"`
	Bridge struct {
		Name string `xml:"name,attr"`
	} `xml:"bridge"`
	MTU struct {
		Size string `xml:"size,attr"`
	} `xml:"mtu"`
	VirtualPort struct {
		Type string `xml:"type,attr"`
	} `xml:"virtualport"`
	MAC struct {
		Address string `xml:"address,attr"`
	} `xml:"mac"`
	IPs []struct {
		Address string `xml:"address,attr"`
		Family  string `xml:"family,attr"`
		DHCP    *struct {
			Ranges []struct{} `xml:"range"`
			Hosts  []struct{} `xml:"host"`
		} `xml:"dhcp"`
	} `xml:"ip"`
	Options []struct {
		Value string `xml:"value,attr"`
	} `xml:"http://libvirt.org/schemas/network/dnsmasq/1.0 options>option"`
}

// ParseNetwork reads a libvirt <network>, or the <networkstatus> with one in it
// that libvirt keeps of an active network.
func ParseNetwork(src []byte) (Network, error) {
	if len(src) > maxNetwork {
		return Network{}, fmt.Errorf("parse network: larger than %d bytes", maxNetwork)
	}
	x, err := decodeNetwork(xml.NewDecoder(bytes.NewReader(src)))
	if err != nil {
		return Network{}, fmt.Errorf("parse network: %w", err)
	}
	n := Network{Name: x.Name, Bridge: x.Bridge.Name, OVS: x.VirtualPort.Type == "openvswitch", MAC: x.MAC.Address}
	if n.Name == "" {
		return Network{}, errors.New("parse network: it has no <name>")
	}
	if x.Forward != nil {
		switch n.Forward = x.Forward.Mode; n.Forward {
		case "": // libvirt's default for a <forward> without a mode
			n.Forward = "nat"
		case "none":
			n.Forward = ""
		}
	}
	if size := x.MTU.Size; size != "" {
		mtu, err := strconv.ParseUint(size, 10, 16)
		if err != nil {
			return Network{}, fmt.Errorf("parse network %q: <mtu size=%q>: not a number up to 65535", n.Name, size)
		}
		n.MTU = int(mtu)
	}
	x.dnsmasq(&n)
	return n, nil
}

// dnsmasq works out what libvirt tells the network's dnsmasq of MTUs.
func (x *networkXML) dnsmasq(n *Network) {
	for _, ip := range x.IPs {
		n.IPv6 = n.IPv6 || ip.Family == "ipv6"
		n.DHCP = n.DHCP || ip.Family != "ipv6" && ip.DHCP != nil && len(ip.DHCP.Ranges)+len(ip.DHCP.Hosts) > 0
	}
	if n.DHCP {
		n.DHCPMTU = n.MTU
	}
	for _, o := range x.Options { // libvirt writes them behind its own
		n.dnsmasqLine(o.Value)
	}
}

func decodeNetwork(d *xml.Decoder) (networkXML, error) {
	for {
		token, err := d.Token()
		if err == io.EOF {
			return networkXML{}, errors.New("there is no element")
		}
		if err != nil {
			return networkXML{}, err
		}
		root, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch root.Name {
		case xml.Name{Local: "network"}:
			var x networkXML
			err := d.DecodeElement(&x, &root)
			return x, err
		case xml.Name{Local: "networkstatus"}:
			var status struct {
				Network networkXML `xml:"network"`
			}
			err := d.DecodeElement(&status, &root)
			return status.Network, err
		}
		return networkXML{}, fmt.Errorf("its root is <%s>, not <network>", root.Name.Local)
	}
}
