package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/probe"
)

// probeFlags are probe's own.
type probeFlags struct {
	size     int
	expect   string
	timeout  time.Duration
	wait     time.Duration
	agent    bool
	expected int  // by --expect N; 0: not given
	path     bool // --expect path
}

// minIPv6 is the smallest MTU of a link that carries IPv6 (RFC 8200, 5).
const minIPv6 = 1280

func newProbe(g *globals) *cobra.Command {
	var fl probeFlags
	c := &cobra.Command{
		Use:   "probe TARGET...",
		Short: "find the largest packet that gets to a guest or host and back, and who stops the rest",
		Long: `probe sends ICMP echo requests that nobody may fragment, and finds the largest that is
answered in one piece: in a dozen packets or fewer where somebody says what the limit
is or it is a common one. Of larger packets it says who stops them: this host, a router
by an ICMP error, the target, which answers them in fragments, or nobody that can be
seen: a black hole. Sizes are bytes of IP packet, header included.

TARGET is an IPv4 or IPv6 address (a link-local one as fe80::1%br0); else the name of a
domain, if libvirt here knows one by that name; else the name of a host. domain:NAME and
host:NAME say which. Of a domain it probes the addresses that libvirt's DHCP leases and
this host's neighbour table know, with --agent also those that the guest says it has; of a
host all that its name has.

With --agent the guest of a domain then probes this host, by its own ping and its guest
agent (qemu-guest-agent), on the same ways: the other direction. It is a result of its
own, from inside the guest. There the ping of iputils is needed, or Windows (IPv4 only);
a packet that is lost takes more than a second, and each address a minute at most.

It needs CAP_NET_RAW, or a group in net.ipv4.ping_group_range. What the kernel has
learned of path MTUs it does not go by, and leaves as it was; over IPv6 that takes
CAP_NET_ADMIN.

-o json writes one document a target.

Exit status: 0; 1 less gets through than --expect or --size says, or nothing at all;
2 wrong usage.`,
		Example: `  virt-mtu probe web1
  virt-mtu probe --size 9000 192.0.2.2         # ping -M do -s 8972 192.0.2.2
  virt-mtu probe --size 9000 2001:db8::2       # ping -M do -s 8952 2001:db8::2
  virt-mtu probe --expect path web1            # what virt-mtu check computes
  virt-mtu probe --agent web1                  # and back, from inside the guest`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return usage("probe: which target? name an address, a domain or a host")
			}
			return nil
		},
		Annotations: map[string]string{ownHost: "it probes from the host that it runs on, and the guests of that; those of another by their addresses"},
		RunE:        func(c *cobra.Command, args []string) error { return runProbe(c, g, &fl, args) },
	}
	f := c.Flags()
	f.IntVar(&fl.size, "size", 0, "try only packets of `N` bytes (and a small one, where nothing comes back): 68-65535, over IPv6 from 1280")
	f.StringVar(&fl.expect, "expect", "", "what should get through: `N` bytes, or path: what check computes for the domain's NIC")
	f.BoolVar(&fl.agent, "agent", false, "of a domain also the other direction: its guest probes this host, by its guest agent")
	f.DurationVar(&fl.timeout, "timeout", 10*time.Second, "how long to wait for each answer of libvirt, and of DNS")
	f.DurationVar(&fl.wait, "wait", time.Second, "how long to wait for the first answer of a target")
	return c
}

func (fl *probeFlags) validate(c *cobra.Command, args []string) error {
	given := c.Flags().Changed
	switch {
	case given("size") && (fl.size < encap.MinMTU || fl.size > encap.MaxMTU):
		return usage("probe: --size %d: it takes %d to %d, bytes of IP packet", fl.size, encap.MinMTU, encap.MaxMTU)
	case given("size") && given("expect"):
		return usage("probe: --size tries one size and expects it: it goes not with --expect")
	case fl.timeout <= 0:
		return usage("probe: --timeout %v: it takes a time above 0, such as 10s", fl.timeout)
	case fl.wait <= 0 || fl.wait > time.Minute:
		return usage("probe: --wait %v: it takes a time above 0, up to 1m", fl.wait)
	}
	if given("expect") {
		n, err := strconv.Atoi(fl.expect)
		switch {
		case fl.expect == "path":
			fl.path = true
		case err != nil || n < encap.MinMTU || n > encap.MaxMTU:
			return usage("probe: --expect %q: it takes a number from %d to %d, or path", fl.expect, encap.MinMTU, encap.MaxMTU)
		default:
			fl.expected = n
		}
	}
	for _, arg := range args {
		addr, err := netip.ParseAddr(arg)
		switch {
		case arg == "":
			return usage("probe: an empty TARGET")
		case fl.agent && (err == nil || strings.HasPrefix(arg, hostPrefix)):
			return usage("probe: --agent asks the guest of a domain, and %s names none: name the domain", plan.Quoted(arg))
		case err != nil:
		case fl.path:
			return usage("probe: --expect path: %s is an address, and check computes the paths of domains: name the domain", addr)
		case !addr.Unmap().Is4() && fl.tooSmall(addr):
			return usage("probe: --size %d: %s is IPv6, which has no MTU below %d (RFC 8200)", fl.size, addr, minIPv6)
		case addr.IsMulticast() || addr.IsUnspecified():
			return usage("probe: %s is not the address of one host", addr)
		}
	}
	return nil
}

// tooSmall reports whether --size is none for that address.
func (fl *probeFlags) tooSmall(addr netip.Addr) bool {
	return fl.size != 0 && fl.size < minIPv6 && !addr.Unmap().Is4()
}

func runProbe(c *cobra.Command, g *globals, fl *probeFlags, args []string) error {
	if err := fl.validate(c, args); err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	p := prober{c: c, g: g, probeFlags: fl, pool: libvirt.NewPool(ctx, g.connect, fl.timeout)}
	defer p.pool.Close()
	err := until(ctx, func() error {
		for _, arg := range args {
			if err := p.target(ctx, arg); err != nil {
				return err
			}
		}
		return nil
	})
	var status *statusError
	switch {
	case errors.As(err, &status):
		return err
	case errors.Is(err, probe.ErrPrivilege):
		return failed(fmt.Errorf("probe: %w", err), "run this as root, or give it the capability (setcap cap_net_raw+ep /path/to/virt-mtu), or admit your group (sysctl net.ipv4.ping_group_range)")
	case err != nil:
		return failed(fmt.Errorf("probe: %w", err), "")
	case p.failed:
		return failed(nil, "")
	}
	return nil
}

// prober is one run of the command.
type prober struct {
	*probeFlags
	c      *cobra.Command
	g      *globals
	pool   *libvirt.Pool
	failed bool
}

// complain says what went wrong with one target; the others are probed all the same.
func (p *prober) complain(err error, hint string) {
	p.failed = true
	complain(p.c.ErrOrStderr(), fmt.Errorf("probe: %w", err), hint)
}

// target probes one target and writes what was found. Errors are those that the next
// would meet too.
func (p *prober) target(ctx context.Context, name string) error {
	t := probe.Target{Target: name, Results: []probe.Result{}}
	where, err := p.resolve(ctx, name)
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	for _, e := range unjoin(err) {
		p.complain(e, targetHint(e))
	}
	if where, err = p.fitting(where); err != nil {
		return err
	}
	prober := probe.Prober{Wait: p.wait}
	for _, w := range where {
		r, err := prober.Probe(ctx, w.addr, p.search(w))
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case errors.Is(err, probe.ErrPrivilege):
			return err
		case err != nil:
			p.complain(fmt.Errorf("%s: %w", w.addr, err), "")
			continue
		}
		r.About = w.about
		p.judge(&r, w)
		t.Results = append(t.Results, r)
	}
	if p.agent && len(t.Results) > 0 {
		t.Results = append(t.Results, p.back(ctx, name, where, t.Results)...)
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if err := p.write(&t); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

// judge compares what was found with what should get through.
func (p *prober) judge(r *probe.Result, w destination) {
	if expect := p.expectedOf(w); expect != 0 {
		r.Judge(expect, w.path)
	}
	p.failed = p.failed || r.Below() || p.size != 0 && r.Largest < p.size
}

// search is what to look for at an address. Further sizes are worth a try too.
func (p *prober) search(w destination, further ...int) *probe.Search {
	if p.size != 0 {
		return probe.NewSingle(p.size)
	}
	var hints []int
	for _, h := range append(further, p.expectedOf(w), probe.RouteMTU(w.addr)) {
		if h != 0 {
			hints = append(hints, h)
		}
	}
	return probe.NewSearch(hints...)
}

// expectedOf is what should get through to an address; 0: nobody says.
func (p *prober) expectedOf(w destination) int {
	if p.path {
		return w.pathMTU
	}
	return p.expected
}

// fitting leaves out the IPv6 addresses for which --size is none.
func (p *prober) fitting(where []destination) ([]destination, error) {
	var fit []destination
	for _, w := range where {
		if !p.tooSmall(w.addr) {
			fit = append(fit, w)
			continue
		}
		complain(p.c.ErrOrStderr(), fmt.Errorf("probe: %s left out: IPv6 has no MTU below %d (RFC 8200), and --size is %d", w.addr, minIPv6, p.size), "")
	}
	if len(fit) == 0 && len(where) > 0 {
		return nil, usage("probe: --size %d: none of its addresses is IPv4", p.size)
	}
	return fit, nil
}

// write shows what was found at a target. JSON has no place for the lines for people:
// those are messages.
func (p *prober) write(t *probe.Target) error {
	if !p.g.json() {
		if len(t.Results) == 0 {
			return nil
		}
		return t.Text(p.c.OutOrStdout(), p.size)
	}
	for _, r := range t.Results {
		for _, n := range r.Messages() {
			complain(p.c.ErrOrStderr(), fmt.Errorf("probe %s: %s: %s", plan.ShellWord(t.Target), r.Where(), n), "")
		}
	}
	return writeJSON(p.c.OutOrStdout(), t)
}
