package main

import (
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/rewrite"
)

func newRewrite(g *globals) *cobra.Command {
	var mtu string
	var bridges, networks []string
	c := &cobra.Command{
		Use:   "rewrite [FILE]",
		Short: "filter domain XML: put <mtu> into the NICs that should have one",
		Long: `rewrite reads a domain's XML from FILE or stdin and writes it to stdout with an
<mtu> in each NIC that should have one. Every other byte stays as it is, an
<mtu> that is there stays too, and to run it twice changes nothing. It asks
neither libvirt nor this host: say what a bridge or a network carries.

Exit status: 0; 1 a NIC is refused or the input is no domain, and nothing is
written to stdout; 2 wrong usage.`,
		Example: `  virsh dumpxml --inactive web1 | virt-mtu rewrite --bridge br0=9000 > web1.xml`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 1 {
				return usage("rewrite: one FILE at the most, not %d", len(args))
			}
			return nil
		},
	}
	f := c.Flags()
	f.StringVar(&mtu, "mtu", "", "MTU `N` for every NIC that has none")
	f.StringArrayVar(&bridges, "bridge", nil, "what a bridge carries, `NAME=MTU`; repeatable")
	f.StringArrayVar(&networks, "network", nil, "what a libvirt network carries, `NAME=MTU`; repeatable")
	c.RunE = func(c *cobra.Command, args []string) error {
		var o rewrite.Options
		var err error
		if o.MTU, err = mtuFlag(c, mtu); err != nil {
			return err
		}
		if o.Bridges, err = named("--bridge", bridges); err != nil {
			return err
		}
		if o.Networks, err = named("--network", networks); err != nil {
			return err
		}
		if o.Config, err = g.loadConfig(); err != nil {
			return err
		}
		src, what, err := input(c, args)
		if err != nil {
			return failed(err, "")
		}
		out, notes, err := rewrite.XML(src, o)
		if err != nil {
			return failed(fmt.Errorf("rewrite %s: %w", what, err), "")
		}
		for _, n := range notes {
			complain(c.ErrOrStderr(), fmt.Errorf("rewrite %s: NIC %d %s: %s", what, n.NIC, n.MAC, n.Text), n.Hint)
		}
		if out == nil {
			return failed(nil, "")
		}
		if _, err := c.OutOrStdout().Write(out); err != nil {
			return failed(fmt.Errorf("write domain XML: %w", err), "")
		}
		return nil
	}
	return c
}

// input reads the FILE argument, or stdin, up to what Parse takes.
func input(c *cobra.Command, args []string) (src []byte, what string, err error) {
	in, what := c.InOrStdin(), "stdin"
	if len(args) == 1 && args[0] != "-" {
		f, err := os.Open(args[0])
		if err != nil {
			return nil, "", err
		}
		defer f.Close()
		in, what = f, fmt.Sprintf("%q", args[0])
	}
	src, err = io.ReadAll(io.LimitReader(in, domxml.MaxSize+1))
	if err != nil {
		err = fmt.Errorf("read %s: %w", what, err)
	}
	return src, what, err
}

// named reads NAME=MTU flags.
func named(flag string, values []string) (map[string]int, error) {
	m := map[string]int{}
	for _, v := range values {
		i := strings.LastIndexByte(v, '=')
		if i < 1 {
			return nil, usage("%s %q: it takes NAME=MTU", flag, v)
		}
		s, err := policy.ParseSetting(v[i+1:])
		if err != nil || s.Kind != policy.Fixed {
			return nil, usage("%s %q: the MTU is a number from 68 to 65535", flag, v)
		}
		m[v[:i]] = s.MTU
	}
	return m, nil
}
