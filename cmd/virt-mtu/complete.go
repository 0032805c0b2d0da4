package main

import (
	"context"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"virt-mtu/internal/encap"
	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/neutron"
	"virt-mtu/internal/plan"
)

// completionTime is how long a shell waits for libvirt's names.
const completionTime = time.Second

// completer gives a shell the words that may come next.
type completer = cobra.CompletionFunc

// completeFrom offers what libvirt has. Where no daemon runs it offers nothing: to
// connect would start one by its socket. Names that a shell would have to have quoted
// are left out: whoever may define a domain writes them.
func completeFrom(g *globals, runs func(hookdir.Daemon) bool, list func(*libvirt.Conn) ([]string, error)) completer {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if daemons, err := hookdir.Daemons(); err != nil || !slices.ContainsFunc(daemons, runs) {
			return nil, none
		}
		ctx, cancel := context.WithTimeout(context.Background(), completionTime)
		defer cancel()
		conn, err := libvirt.Dial(ctx, g.connect, completionTime)
		if err != nil {
			return nil, none
		}
		defer conn.Close()
		names, err := list(conn)
		if err != nil {
			return nil, none
		}
		var words []string
		for _, name := range names {
			if strings.HasPrefix(name, begun) && plan.ShellWord(name) == name {
				words = append(words, name)
			}
		}
		return words, none
	}
}

func completeDomains(g *globals) completer {
	runs := func(hookdir.Daemon) bool { return true }
	return completeFrom(g, runs, func(c *libvirt.Conn) (names []string, err error) {
		domains, err := c.Domains()
		for _, d := range domains {
			names = append(names, d.Name)
		}
		return names, err
	})
}

func completeNetworks(g *globals) completer {
	// virtqemud asks virtnetworkd, and starts it for that.
	runs := func(d hookdir.Daemon) bool {
		_, err := os.Stat("/run/virtnetworkd.pid")
		return d.Name == "libvirtd" || err == nil
	}
	return completeFrom(g, runs, func(c *libvirt.Conn) (names []string, err error) {
		networks, err := c.Networks()
		for _, n := range networks {
			names = append(names, n.Name)
		}
		return names, err
	})
}

// completeWords offers fixed words.
func completeWords(words ...string) completer {
	return cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp)
}

// completeNothing offers nothing, no files either: it is a number, a name of elsewhere.
func completeNothing(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveNoFileComp
}

func layers() (names []string) {
	for _, i := range encap.Table() {
		names = append(names, i.Name)
	}
	return names
}

// completions tells the commands what a shell may offer. Of a flag that is not in here
// it offers files where the value is a FILE, else nothing.
func completions(root *cobra.Command, g *globals) {
	domains, networks := completeDomains(g), completeNetworks(g)
	register := func(c *cobra.Command, flag string, f completer) {
		if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
			panic(err)
		}
	}
	for path, words := range map[string]struct {
		args  completer
		flags map[string]completer
	}{
		"calc": {completeWords(layers()...), map[string]completer{
			"cipher":             completeWords(encap.Ciphers()...),
			"mode":               completeWords("tunnel", "transport"),
			"overlay-ip-version": completeWords("4", "6"),
			networkType:          completeWords(neutron.Types()...),
		}},
		"check":   {domains, nil},
		"facts":   {completeNothing, nil},
		"fix":     {domains, map[string]completer{"network": networks}},
		"probe":   {domains, map[string]completer{"expect": completeWords("path")}},
		"rewrite": {nil, nil}, // a FILE
		"watch":   {completeNothing, nil},
	} {
		c, _, err := root.Find([]string{path})
		if err != nil || c == root {
			panic("no command " + path)
		}
		c.ValidArgsFunction = words.args
		for name, f := range words.flags {
			register(c, name, f)
		}
	}
	register(root, "output", func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return outputs(c), cobra.ShellCompDirectiveNoFileComp
	})
	var rest func(c *cobra.Command)
	rest = func(c *cobra.Command) {
		all := func(f *pflag.Flag) {
			_, known := c.GetFlagCompletionFunc(f.Name)
			if value, _ := pflag.UnquoteUsage(f); value != "" && value != "FILE" && !known {
				register(c, f.Name, completeNothing)
			}
		}
		c.LocalNonPersistentFlags().VisitAll(all)
		c.PersistentFlags().VisitAll(all)
		for _, sub := range c.Commands() {
			rest(sub)
		}
	}
	rest(root)
}
