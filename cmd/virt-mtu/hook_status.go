package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/spf13/cobra"

	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/libvirt"
)

func newHookStatus(g *globals) *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "say whether libvirt runs the hook, and what is in its way",
		Long: `status says whether the hook is installed, and loaded: whether libvirt runs it at
the next start of a domain. Where no libvirt daemon runs it counts as loaded, for a
daemon looks at its start.

Exit status: 0 all is well; 1 there are problems, or it is not installed; 2 wrong usage.`,
		Example: `  virt-mtu hook status`,
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return hookStatus(c, g) },
	}
}

func hookStatus(c *cobra.Command, g *globals) error {
	if os.Geteuid() != 0 {
		return failed(errors.New("hook status needs root: what libvirt has loaded only root can see"), "sudo virt-mtu hook status")
	}
	dir := hookdir.Default
	binary, err := hookBinary()
	if err != nil && !errors.Is(err, hookdir.ErrNoBinary) {
		return hookFailed("status", err)
	}
	var version uint64
	if there, _ := dir.Installed(); there {
		version = libvirtVersion(c, g)
	}
	status, err := dir.Status(version, binary)
	if err != nil {
		return hookFailed("status", err)
	}
	if g.json() {
		err = writeJSON(c.OutOrStdout(), status)
	} else {
		err = status.Text(c.OutOrStdout())
	}
	if err != nil {
		return failed(fmt.Errorf("write status: %w", err), "")
	}
	if len(status.Problems) > 0 {
		return failed(nil, "")
	}
	return nil
}

// libvirtVersion is 0 where libvirt does not answer; where it should, a message says
// so.
func libvirtVersion(c *cobra.Command, g *globals) uint64 {
	ctx, cancel := context.WithTimeout(c.Context(), hookTimeout)
	defer cancel()
	conn, err := libvirt.Dial(ctx, ownURI(c, g), hookTimeout)
	if errors.Is(err, fs.ErrNotExist) {
		return 0 // none runs, none to be started
	}
	if err != nil {
		complain(c.ErrOrStderr(), fmt.Errorf("hook status: libvirt's version is not known: %w", err), libvirt.Hint(err))
		return 0
	}
	defer conn.Close()
	return conn.Version()
}
