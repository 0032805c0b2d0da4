package main

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"virt-mtu/internal/calc"
	"virt-mtu/internal/encap"
	"virt-mtu/internal/neutron"
)

// calcFlags are calc's own.
type calcFlags struct {
	underlay  int
	ipv6      bool
	limit     bool
	ipsec     encap.IPsec
	mode      string
	physnets  []string
	neutron   neutron.Options
	advertise bool
}

// The flags of one form of calc, and those of the other, which says --network-type.
var (
	ipsecFlags   = []string{"cipher", "mode", "nat-t"}
	stackFlags   = append([]string{"underlay", "ipv6", encapLimit}, ipsecFlags...)
	neutronFlags = []string{"global-physnet-mtu", "segment-mtu", "path-mtu", "physical-network-mtus", "physnet",
		"overlay-ip-version", "max-header-size", "network-mtu"}
)

const (
	networkType = "network-type"
	encapLimit  = "encaplimit"
)

func newCalc(g *globals) *cobra.Command {
	var fl calcFlags
	c := &cobra.Command{
		Use:   "calc [LAYER...]",
		Short: "what an MTU comes to: overhead byte by byte, or neutron's answer",
		Long: `calc takes layers off the MTU of an underlay, in the order from the wire inwards,
and shows every byte of it; or, with --network-type, it gives the MTU that
OpenStack's neutron gives a network by its own options, and says what each option
did. It asks no host.

` + layerTable() + `
Two numbers: over IPv4, and over IPv6 (--ipv6). Linux's own ip6tnl, ip6gre and
ip6gretap take 8 more than ipip and gre unless made with "encaplimit none", which
--encaplimit counts.

Ciphers of ipsec: ` + wrapped(encap.Ciphers()) + `.

Exit status: 0; 1 there is no such MTU (less than 68 is left, or neutron would
refuse --network-mtu); 2 wrong usage.`,
		Example: `  virt-mtu calc --underlay 1500 vxlan
  virt-mtu calc --underlay 9000 --ipv6 wireguard vxlan vlan
  virt-mtu calc --underlay 1500 --cipher aes-cbc-sha256 --nat-t ipsec
  virt-mtu calc --network-type geneve --max-header-size 38 --advertise
  virt-mtu calc --network-type vlan --physical-network-mtus physnet1:4000 --physnet physnet1`,
		RunE: func(c *cobra.Command, args []string) error { return runCalc(c, g, &fl, args) },
	}
	f := c.Flags()
	f.IntVar(&fl.underlay, "underlay", 0, "MTU `N` that the layers are put on")
	f.BoolVar(&fl.ipv6, "ipv6", false, "outer IP headers are IPv6")
	f.BoolVar(&fl.limit, encapLimit, false, "ipip and gre over IPv6 with the option that Linux's tunnels have by default")
	f.StringVar(&fl.ipsec.Cipher, "cipher", encap.DefaultCipher, "`CIPHER` of ipsec")
	f.StringVar(&fl.mode, "mode", "tunnel", "`MODE` of ipsec: tunnel or transport")
	f.BoolVar(&fl.ipsec.NATT, "nat-t", false, "ipsec within UDP (NAT traversal)")
	n := &fl.neutron
	f.StringVar(&n.NetworkType, networkType, "", "neutron's `TYPE`: "+strings.Join(neutron.Types(), ", "))
	f.IntVar(&n.GlobalPhysnetMTU, "global-physnet-mtu", neutron.DefaultPhysnetMTU, "neutron's option, MTU `N`; 0 is no limit")
	f.IntVar(&n.SegmentMTU, "segment-mtu", 0, "old name of --global-physnet-mtu `N`")
	f.IntVar(&n.PathMTU, "path-mtu", 0, "neutron's option, MTU `N`; 0 is no limit")
	f.StringArrayVar(&fl.physnets, "physical-network-mtus", nil, "neutron's option, `PHYSNET:MTU,...`; repeatable")
	f.StringVar(&n.Physnet, "physnet", "", "`PHYSNET` that the network is on")
	f.IntVar(&n.OverlayIPVersion, "overlay-ip-version", neutron.DefaultOverlayIP, "neutron's option: `4|6`")
	f.IntVar(&n.MaxHeaderSize, "max-header-size", neutron.DefaultMaxHeaderSize, "neutron's option of Geneve, `N` bytes; OVN wants 38 at least")
	f.IntVar(&n.NetworkMTU, "network-mtu", 0, "MTU `N` that the network is created with; 0 is the largest")
	f.BoolVar(&fl.advertise, "advertise", false, "the lines of dnsmasq, radvd and libvirt that tell guests")
	return c
}

// layerTable is the table of layers for --help.
func layerTable() string {
	var b strings.Builder
	for _, i := range encap.Table() {
		fmt.Fprintf(&b, "  %-11s %-10s %s\n", i.Name, i.Cost, i.About)
	}
	return b.String()
}

// wrapped lists names for --help, a few a line.
func wrapped(names []string) string {
	var lines []string
	for l := range slices.Chunk(names, 5) {
		lines = append(lines, strings.Join(l, ", "))
	}
	return strings.Join(lines, ",\n")
}

func runCalc(c *cobra.Command, g *globals, fl *calcFlags, args []string) error {
	compute := fl.stack
	if c.Flags().Changed(networkType) {
		compute = fl.network
	}
	r, err := compute(c, args)
	if err != nil {
		return err
	}
	if fl.advertise {
		r.Advertise = calc.Advertised(r.MTU)
	}
	out := c.OutOrStdout()
	write := func() error { return r.Text(out) }
	if g.json() {
		write = func() error { return writeJSON(out, r) }
	}
	if err := write(); err != nil {
		return failed(fmt.Errorf("write result: %w", err), "")
	}
	return nil
}

// stack is the form with --underlay and layers.
func (fl *calcFlags) stack(c *cobra.Command, names []string) (calc.Result, error) {
	var none calc.Result
	if flag := firstOf(c, neutronFlags); flag != "" {
		return none, usage("calc: --%s is neutron's: it goes with --%s", flag, networkType)
	}
	if !c.Flags().Changed("underlay") {
		return none, usage("calc: --underlay N is missing (or, for neutron's answer, --%s)", networkType)
	}
	if flag := firstOf(c, ipsecFlags); flag != "" && !slices.Contains(names, "ipsec") {
		return none, usage("calc: --%s is for the layer ipsec, which is not among the layers", flag)
	}
	if fl.limit && (!fl.ipv6 || !slices.ContainsFunc(encap.Limited(), func(l string) bool { return slices.Contains(names, l) })) {
		return none, usage("calc: --%s is for %s over IPv6 (--ipv6)", encapLimit, strings.Join(encap.Limited(), ", "))
	}
	switch fl.mode {
	case "tunnel":
	case "transport":
		fl.ipsec.Transport = true
	default:
		return none, usage("calc: --mode %q: it takes tunnel or transport", fl.mode)
	}
	family := 4
	if fl.ipv6 {
		family = 6
	}
	layers, mtu, err := encap.Stack(fl.underlay, names, encap.Options{Family: family, IPsec: fl.ipsec, EncapLimit: fl.limit})
	if err != nil {
		return none, calcError(err)
	}
	return calc.New(fl.underlay, family, layers, mtu), nil
}

// network is the form with --network-type and neutron's other options.
func (fl *calcFlags) network(c *cobra.Command, names []string) (calc.Result, error) {
	var none calc.Result
	if flag := firstOf(c, stackFlags); flag != "" {
		return none, usage("calc: --%s goes with layers: not with --%s", flag, networkType)
	}
	if len(names) > 0 {
		return none, usage("calc: layer %q goes with --underlay: not with --%s", names[0], networkType)
	}
	o := fl.neutron
	o.Given = map[string]bool{}
	for _, flag := range neutronFlags {
		o.Given[strings.ReplaceAll(flag, "-", "_")] = c.Flags().Changed(flag)
	}
	var err error
	if o.PhysicalNetworkMTUs, err = physnetMTUs(fl.physnets); err != nil {
		return none, err
	}
	a, err := neutron.MTU(o)
	if err != nil {
		return none, calcError(err)
	}
	return calc.OfNetwork(o, a), nil
}

// calcError ends calc: with 1 where there is no such MTU, with 2 where there cannot be
// such a question.
func calcError(err error) error {
	var big *neutron.TooBigError
	if errors.Is(err, encap.ErrTooSmall) || errors.As(err, &big) {
		return failed(fmt.Errorf("calc: %w", err), "")
	}
	return usage("calc: %w", err)
}

// firstOf returns the first of flags that was given, empty where none was.
func firstOf(c *cobra.Command, flags []string) string {
	if i := slices.IndexFunc(flags, c.Flags().Changed); i >= 0 {
		return flags[i]
	}
	return ""
}

// physnetMTUs reads PHYSNET:MTU,... as neutron does (parse_mappings, neutron_lib): a
// physical network may occur once.
func physnetMTUs(values []string) (map[string]int, error) {
	m := map[string]int{}
	for _, pair := range strings.Split(strings.Join(values, ","), ",") {
		if pair = strings.TrimSpace(pair); pair == "" {
			continue
		}
		name, mtu, ok := strings.Cut(pair, ":")
		name = strings.TrimSpace(name)
		n, err := strconv.Atoi(strings.TrimSpace(mtu))
		if _, twice := m[name]; twice {
			return nil, usage("calc: --physical-network-mtus: %q occurs twice", name)
		}
		if !ok || name == "" || err != nil {
			return nil, usage("calc: --physical-network-mtus %q: it takes PHYSNET:MTU", pair)
		}
		m[name] = n
	}
	return m, nil
}
