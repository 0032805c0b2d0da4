package main

import (
	"fmt"
	"os"
	"time"

	"github.com/spf13/cobra"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/libvirt"
)

func newFacts(g *globals) *cobra.Command {
	var timeout time.Duration
	var agent bool
	c := &cobra.Command{
		Use:   "facts",
		Short: "write a host's network and domains as JSON, for virt-mtu check elsewhere",
		Long: `facts writes what virt-mtu check goes by to stdout, as JSON: the links of this
host, Open vSwitch's bridges, libvirt's networks, and of each domain what concerns
its NICs. No secrets are in it: of a domain's XML only what virt-mtu reads, no
passwords, no disks, no command lines, nobody else's metadata. Names, MAC addresses,
tunnels' addresses and PCI addresses are.

What cannot be read, as because libvirt does not answer, is a message and a line in the
JSON; the rest is written all the same. Without root nothing is said of the hook, but
for a message.

With --connect of another host, as qemu+ssh://kvm2/system, they are that host's: what
virt-mtu facts says there, else what its libvirt tells.

Exit status: 0; 1 something could not be read; 2 wrong usage.`,
		Example: `  virt-mtu facts > kvm1.json
  ssh kvm2 sudo virt-mtu facts > kvm2.json
  virt-mtu check --facts kvm1.json --facts kvm2.json`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return usage("facts: it takes no arguments, and writes of all domains")
			}
			return nil
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 10*time.Second, "how long to wait for each answer of libvirt, and with --agent for each guest")
	c.Flags().BoolVar(&agent, "agent", false, "ask each running guest, by its guest agent, which MTU it really has")
	c.RunE = func(c *cobra.Command, _ []string) error { return runFacts(c, g, timeout, agent) }
	return c
}

func runFacts(c *cobra.Command, g *globals, timeout time.Duration, agent bool) error {
	if timeout <= 0 {
		return usage("facts: --timeout %v: it takes a time above 0, such as 10s", timeout)
	}
	there, err := g.elsewhere(c)
	if err != nil {
		return err
	}
	ctx, stop := interruptible(c)
	defer stop()
	if there != nil {
		f, err := askDomains(ctx, there, timeout, facts.Options{Guest: guestTime(agent, timeout), Progress: progress(c)}, sayer(c))
		if err != nil {
			return failed(fmt.Errorf("facts: %w", err), libvirt.Hint(err))
		}
		if err := f.Encode(c.OutOrStdout()); err != nil || len(f.Unread) > 0 {
			return failed(err, "")
		}
		return nil
	}
	pool := libvirt.NewPool(ctx, g.connect, timeout)
	defer pool.Close()
	f, err := facts.Gather(ctx, facts.Options{Pool: pool, Hook: hookFindings, Guest: guestTime(agent, timeout), Progress: progress(c)})
	for _, p := range unjoin(err) {
		complain(c.ErrOrStderr(), fmt.Errorf("facts: %w", p), libvirt.Hint(p))
	}
	if f.Version == 0 { // interrupted
		return failed(nil, "")
	}
	if err := f.Encode(c.OutOrStdout()); err != nil {
		return failed(err, "")
	}
	if seen := sawHook(c); err != nil || !seen {
		return failed(nil, "")
	}
	return nil
}

// guestTime is how long each guest has to answer, where it is asked at all.
func guestTime(agent bool, timeout time.Duration) time.Duration {
	if !agent {
		return 0
	}
	return timeout
}

// sawHook reports whether the hook could be looked at, and says so where not. It is no
// finding: whoever asks about MTUs need not be root.
func sawHook(c *cobra.Command) bool {
	if os.Geteuid() == 0 {
		return true
	}
	complain(c.ErrOrStderr(), fmt.Errorf("%s: the hook was not looked at: what libvirt has loaded only root can see", c.Name()), "")
	return false
}

// hookFindings is what is wrong with libvirt's hook on this host; version is the running
// libvirt's, 0 where it does not answer. Without root nothing is: see sawHook.
func hookFindings(version uint64) ([]finding.Finding, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	status, err := hookdir.Default.Status(version, "")
	return status.Problems, err
}
