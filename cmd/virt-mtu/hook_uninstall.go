package main

import (
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"virt-mtu/internal/hookdir"
	"virt-mtu/internal/plan"
)

func newHookUninstall() *cobra.Command {
	var systemd bool
	c := &cobra.Command{
		Use:   "uninstall",
		Short: "take the hook out of libvirt's hook directory, and reload the daemon",
		Long: `uninstall removes ` + hookdir.Default.Hook() + ` if it is
virt-mtu's, and nothing else. Domains keep their <mtu>: see virt-mtu fix --undo.

--systemd also removes the units that hook install --systemd wrote, once none of them
is enabled or runs: to stop them is yours.

Exit status: 0, also where it is not there; 1 not removed; 2 wrong usage.`,
		Example: `  virt-mtu fix --all --undo      # where the <mtu> elements are to go too
  virt-mtu hook uninstall
  virt-mtu hook uninstall --systemd`,
		Args: cobra.NoArgs,
	}
	c.Flags().BoolVar(&systemd, "systemd", false, "remove the units of hook install --systemd too")
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := needRoot("hook uninstall"); err != nil {
			return err
		}
		if systemd {
			if err := idleUnits(); err != nil {
				return err
			}
		}
		if err := hookUninstall(c); err != nil {
			return err
		}
		if systemd {
			return uninstallUnits(c)
		}
		return tellOfUnits(c)
	}
	return c
}

func hookUninstall(c *cobra.Command) error {
	dir := hookdir.Default
	removed, err := dir.Uninstall()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	out := c.OutOrStdout()
	if !removed {
		fmt.Fprintln(out, "not installed: there is no", dir.Hook())
		return nil
	}
	fmt.Fprintln(out, "removed", dir.Hook())
	if left, err := os.ReadDir(dir.Folder()); err == nil && len(left) == 0 {
		fmt.Fprintln(out, "left", dir.Folder()+", which is empty now")
	}
	copies, err := dir.Copies()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	for _, p := range copies {
		complain(c.ErrOrStderr(), fmt.Errorf("hook uninstall: libvirt still runs a copy of the hook at %s", p), "rm "+plan.ShellWord(p))
	}
	if err := hookdir.Forget(); err != nil {
		return hookFailed("uninstall", err)
	}
	daemons, err := hookdir.Daemons()
	if err != nil {
		return hookFailed("uninstall", err)
	}
	for _, d := range daemons {
		if err := reload(out, d); err != nil {
			return err
		}
	}
	return nil
}
