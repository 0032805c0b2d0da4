package facts

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
)

// maxDistant bounds the links that are asked for; a bridge has at most 1,023 ports.
const maxDistant = 4000

// Distant reads of another host, by its libvirt alone, what NICs would be plugged into
// there. That is less than Gather knows of this one: of a bridge's port libvirt tells
// whether it is a VLAN, a bond, has hardware under it or is the tap of a guest that runs
// there. The rest may be anything: host.Virtual. What a link is of which libvirt could
// not be asked is not known either, and Unread says so; a link that is not in the Facts
// is not there.
func Distant(c *libvirt.Conn, nics []domxml.NIC) Facts {
	d := distant{conn: c, facts: Facts{Version: Version, Snapshot: host.Snapshot{Links: []host.Link{}}}, seen: map[string]bool{}, masters: map[string]string{}}
	var err error
	d.facts.Host, err = c.Hostname()
	d.unread(err)
	d.facts.Networks, err = Networks(c)
	d.unread(err)
	for _, n := range nics {
		d.want(n.Bridge)
		d.want(n.Dev)
		if network, ok := d.facts.Network(n.Network); ok {
			d.want(network.Bridge)
		}
	}
	for len(d.todo) > 0 {
		next := d.todo[0]
		d.todo = d.todo[1:]
		d.link(next)
	}
	for i := range d.facts.Links {
		l := &d.facts.Links[i]
		l.Master = d.masters[l.Name]
	}
	return d.facts
}

type distant struct {
	conn  *libvirt.Conn
	facts Facts
	todo  []string // links to ask for
	seen  map[string]bool
	// masters by the names of their ports, as far as they are known.
	masters map[string]string

	devices  []string        // node devices; see hardware
	listed   bool            // they are
	taps     map[string]bool // see tap
	searched bool            // for them
}

func (d *distant) unread(err error) {
	if err == nil {
		return
	}
	for _, line := range strings.Split(err.Error(), "\n") {
		if !slices.Contains(d.facts.Unread, line) {
			d.facts.Unread = append(d.facts.Unread, line)
		}
	}
}

// want puts a link on the list of those to ask for, once. Of one too many no more is
// said than that it is there.
func (d *distant) want(name string) {
	if !host.ValidName(name) || d.seen[name] {
		return
	}
	d.seen[name] = true
	if len(d.seen) > maxDistant {
		d.unread(fmt.Errorf("read interfaces: more than %d belong to these bridges", maxDistant))
		d.facts.Links = append(d.facts.Links, host.Link{Name: name, Kind: host.Virtual})
		return
	}
	d.todo = append(d.todo, name)
}

func (d *distant) link(name string) {
	l, ports, err := d.ask(name)
	switch {
	case errors.Is(err, libvirt.ErrNotFound):
		return
	case err != nil:
		d.unread(err)
		l, ports = host.Link{Name: name, Kind: host.Virtual}, nil
	}
	if l.Kind == host.Virtual && d.hardware(name) {
		l.Kind = host.Hardware
	}
	d.facts.Links = append(d.facts.Links, l)
	d.want(l.Lower)
	for _, p := range ports {
		d.masters[p.Name] = name
		if l.Kind == "bridge" && p.Kind == host.Virtual && !d.seen[p.Name] && !d.hardware(p.Name) && d.tap(p.Name) {
			d.seen[p.Name] = true
			d.facts.Links = append(d.facts.Links, host.Link{Name: p.Name, Kind: "tun", Tap: true})
			continue
		}
		d.want(p.Name)
	}
}

func (d *distant) ask(name string) (host.Link, []host.Link, error) {
	xml, err := d.conn.Interface(name)
	if err != nil {
		return host.Link{}, nil, err
	}
	l, ports, err := host.ParseInterface([]byte(xml))
	if err == nil && l.Name != name {
		err = fmt.Errorf("read interface %q: it is called %q there", name, l.Name)
	}
	return l, ports, err
}

// hardware reports whether hardware is under a link, by its node device. That is called
// net_NAME_ and the MAC address that the link had when libvirt first saw it, with all but
// letters and digits made '_' (udevGenerateDeviceName).
func (d *distant) hardware(link string) bool {
	if !d.listed {
		var err error
		d.devices, err = d.conn.NetDevices()
		d.unread(err)
		d.listed = true
	}
	prefix := "net_" + strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' {
			return r
		}
		return '_'
	}, link) + "_"
	for _, name := range d.devices {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		xml, err := d.conn.NetDevice(name)
		if errors.Is(err, libvirt.ErrNotFound) {
			continue
		}
		if err != nil {
			d.unread(err)
			return false
		}
		if of, hardware, err := host.ParseNetDevice([]byte(xml)); err == nil && of == link {
			return hardware
		}
	}
	return false
}

// tap reports whether a port of a bridge is the tap of a guest that runs there.
func (d *distant) tap(link string) bool {
	if !d.searched {
		d.searched = true
		d.taps = map[string]bool{}
		d.unread(d.search())
	}
	return d.taps[link]
}

func (d *distant) search() error {
	running, err := d.conn.Running()
	for _, domain := range running {
		var xml string
		if xml, err = d.conn.LiveXML(domain); errors.Is(err, libvirt.ErrNotFound) {
			err = nil
			continue
		}
		if err != nil {
			break // most likely it is the connection
		}
		doc, perr := domxml.Parse([]byte(xml))
		if perr != nil {
			continue // its taps are ports like any
		}
		for _, n := range doc.NICs {
			// Of type='ethernet' the device may be one that somebody made himself.
			if slices.Contains([]string{"bridge", "network"}, n.Type) && n.Target != "" {
				d.taps[n.Target] = true
			}
		}
	}
	return err
}
