package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"virt-mtu/internal/oneline"
)

// Ask sends one command to a guest agent and returns its answer, both JSON. It waits no
// longer than until ctx ends.
type Ask func(ctx context.Context, command string) (string, error)

// ErrNonsense: the answer is none that a guest agent gives.
var ErrNonsense = errors.New("the guest agent answers nonsense")

// ErrSlow: the guest's time is over.
var ErrSlow = errors.New("the guest takes too long")

// ErrNoNIC: the guest has no NIC with that MAC address.
var ErrNoNIC = errors.New("the guest agent knows no NIC with this MAC address")

// longest is how much of what a guest says is shown, in bytes.
const longest = 200

// most is how many interfaces a guest may have. No guest comes near.
const most = 10_000

// Guest is one guest that is being asked. It is for one goroutine.
type Guest struct {
	ctx    context.Context
	ask    Ask
	system *system
	links  []link
}

// link is what the agent says of one network interface of the guest.
type link struct {
	Name string `json:"name"`
	MAC  string `json:"hardware-address"`
	IPs  []struct {
		Addr string `json:"ip-address"`
	} `json:"ip-addresses"`
}

// Open asks the guest what it is and which interfaces it has. All that is asked of it,
// now and later, has time until ctx ends.
func Open(ctx context.Context, ask Ask) (*Guest, error) {
	g := &Guest{ctx: ctx, ask: ask}
	if err := g.call("guest-network-get-interfaces", nil, &g.links); err != nil {
		return nil, err
	}
	if len(g.links) > most {
		return nil, fmt.Errorf("%w: it has %d network interfaces", ErrNonsense, len(g.links))
	}
	var os struct{ ID string }
	err := g.call("guest-get-osinfo", nil, &os)
	if err != nil && (ctx.Err() != nil || errors.Is(err, ErrNonsense)) {
		return nil, err
	}
	g.system = lookup(os.ID) // one too old to say is taken for a Linux
	return g, nil
}

// call sends one command. Into may be nil.
func (g *Guest) call(name string, args any, into any) error {
	if g.ctx.Err() != nil {
		return fmt.Errorf("%s: %w", name, ErrSlow)
	}
	command := struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
	}{name, args}
	b, err := json.Marshal(command)
	if err != nil {
		return err
	}
	answer, err := g.ask(g.ctx, string(b))
	if err != nil {
		return err
	}
	var reply struct{ Return json.RawMessage }
	if err := json.Unmarshal([]byte(answer), &reply); err != nil || reply.Return == nil || string(reply.Return) == "null" {
		return fmt.Errorf("%w to %s: %s", ErrNonsense, name, said(answer))
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(reply.Return, into); err != nil {
		return fmt.Errorf("%w to %s: %s", ErrNonsense, name, said(answer))
	}
	return nil
}

// find finds the interface with a MAC address. Others may have the same: what lies on
// it in the guest, a bond, a VLAN, takes its address over.
func (g *Guest) find(mac string) (link, error) {
	var same []link
	for _, l := range g.links {
		if sameMAC(l.MAC, mac) {
			same = append(same, l)
		}
	}
	if len(same) == 0 {
		return link{}, ErrNoNIC
	}
	for _, l := range same {
		if !g.system.valid(l.Name) {
			return link{}, fmt.Errorf("the guest agent says that the NIC is called %s, which is no name to go by", said(l.Name))
		}
	}
	if len(same) == 1 {
		return same[0], nil
	}
	var real []link
	for _, l := range same[:min(len(same), 20)] {
		if g.system.real != nil && g.system.real(g, l) {
			real = append(real, l)
		}
	}
	if len(real) != 1 {
		return link{}, fmt.Errorf("%d interfaces of the guest have this MAC address, and which is the NIC cannot be told", len(same))
	}
	return real[0], nil
}

// Has reports whether the guest has a NIC with a MAC address.
func (g *Guest) Has(mac string) bool {
	_, err := g.find(mac)
	return !errors.Is(err, ErrNoNIC)
}

// mostAddresses bounds what is believed of one NIC.
const mostAddresses = 64

// Addresses returns those that the guest's NIC with a MAC address has, by its own word,
// and that others can send to: no loopback, and no link-local ones, which are of a link.
func (g *Guest) Addresses(mac string) []netip.Addr {
	var all []netip.Addr
	for _, l := range g.links {
		if !sameMAC(l.MAC, mac) {
			continue
		}
		for _, ip := range l.IPs {
			addr, err := netip.ParseAddr(ip.Addr)
			if err == nil && len(all) < mostAddresses && addr.Zone() == "" && addr.Unmap().IsGlobalUnicast() {
				all = append(all, addr.Unmap())
			}
		}
	}
	return all
}

func sameMAC(guest, mac string) bool {
	return strings.EqualFold(strings.ReplaceAll(guest, "-", ":"), mac)
}

// Read returns the MTU, in bytes of IP packet, of the guest's NIC with a MAC address.
func (g *Guest) Read(mac string) (int, error) {
	l, err := g.find(mac)
	if err != nil {
		return 0, err
	}
	return g.read(l)
}

func (g *Guest) read(l link) (int, error) {
	n, err := g.system.read(g, l)
	if err == nil && (n < 1 || n > 1<<31-1) {
		err = fmt.Errorf("%w: an MTU of %d", ErrNonsense, n)
	}
	if err != nil {
		return 0, fmt.Errorf("read the MTU of %s in the guest: %w", l.Name, err)
	}
	return n, nil
}

// Change is what came of a Set.
type Change struct {
	Name   string // of the NIC in the guest
	Before int    // bytes of IP packet; 0: not known
	After  int    // as it was read back; 0: not known
	// Above names what lies on the NIC in the guest: bonds, bridges, VLANs. It was left
	// as it is.
	Above []string
	// Lasting says what to do in the guest so that the MTU outlives its next boot.
	Lasting string
}

// Set gives the guest's NIC with a MAC address an MTU, in bytes of IP packet, where it
// has another, and reads it back. The Change says how far it came, also with an error.
func (g *Guest) Set(mac string, mtu int) (Change, error) {
	var c Change
	l, err := g.find(mac)
	if err != nil {
		return c, err
	}
	c.Name = l.Name
	if c.Before, err = g.read(l); err != nil {
		return c, err
	}
	if c.After = c.Before; c.Before == mtu {
		return c, nil
	}
	if err := g.system.set(g, l, mtu); err != nil {
		c.After, _ = g.read(l)
		return c, fmt.Errorf("set the MTU of %s in the guest: %w", l.Name, err)
	}
	if c.After, err = g.read(l); err != nil {
		return c, err
	}
	if c.After != mtu {
		return c, fmt.Errorf("set the MTU of %s in the guest to %d: it says yes, and has %d", l.Name, mtu, c.After)
	}
	if g.system.above != nil {
		c.Above = g.system.above(g, l)
	}
	c.Lasting = g.system.lasting(g, l, mtu)
	return c, nil
}

// said quotes what a guest says.
func said(s string) string { return "\"" + oneline.Text(s, longest) + "\"" }
