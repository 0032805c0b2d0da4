package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

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
func completeFrom(g *globals, list func(*libvirt.Conn) ([]string, error)) completer {
	return func(c *cobra.Command, args []string, begun string) ([]string, cobra.ShellCompDirective) {
		const none = cobra.ShellCompDirectiveNoFileComp
		if daemons, err := hookdir.Daemons(); err != nil || len(daemons) == 0 {
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
	return completeFrom(g, func(c *libvirt.Conn) (names []string, err error) {
		domains, err := c.Domains()
		for _, d := range domains {
			names = append(names, d.Name)
		}
		return names, err
	})
}

func completeNetworks(g *globals) completer {
	return completeFrom(g, func(c *libvirt.Conn) (names []string, err error) {
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

// completions tells the commands what a shell may offer. What is not in here, as FILE,
// is a file.
func completions(root *cobra.Command, g *globals) {
	domains, networks := completeDomains(g), completeNetworks(g)
	for path, words := range map[string]struct {
		args  completer
		flags map[string]completer
	}{
		"calc": {completeWords(layers()...), map[string]completer{
			"cipher":    completeWords(encap.Ciphers()...),
			"mode":      completeWords("tunnel", "transport"),
			networkType: completeWords(neutron.Types()...),
		}},
		"check":   {domains, nil},
		"facts":   {completeNothing, nil},
		"fix":     {domains, map[string]completer{"network": networks, "mtu": completeNothing}},
		"probe":   {domains, map[string]completer{"expect": completeWords("path")}},
		"rewrite": {nil, map[string]completer{"mtu": completeNothing}},
		"watch":   {completeNothing, map[string]completer{"listen": completeNothing}},
	} {
		c, _, err := root.Find([]string{path})
		if err != nil || c == root {
			panic("no command " + path)
		}
		c.ValidArgsFunction = words.args
		for name, f := range words.flags {
			if err := c.RegisterFlagCompletionFunc(name, f); err != nil {
				panic(err)
			}
		}
	}
	output := func(c *cobra.Command, _ []string, _ string) ([]string, cobra.ShellCompDirective) {
		return outputs(c), cobra.ShellCompDirectiveNoFileComp
	}
	for name, f := range map[string]completer{"output": output, "connect": completeNothing} {
		if err := root.RegisterFlagCompletionFunc(name, f); err != nil {
			panic(err)
		}
	}
}
