package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"virt-mtu/internal/plan"
	"virt-mtu/internal/unit"
)

// unitWays are the ways to run virt-mtu by systemd: what to enable together.
var unitWays = []struct {
	units []string
	what  string
}{
	{[]string{"virt-mtu-watch.service"}, "the daemon"},
	{[]string{"virt-mtu-fix.path", "virt-mtu-fix.timer"}, "no daemon; what the hook queues"},
	{[]string{"virt-mtu-check.timer"}, "verdicts for node_exporter"},
}

// unitProgram is this virt-mtu's path, which the units are to start; empty where a
// package's units are there.
func unitProgram() (string, error) {
	if len(unit.Packaged()) > 0 {
		return "", nil
	}
	self, err := os.Executable()
	if err != nil {
		return "", failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	if err := unit.Startable(self); err != nil {
		return "", failed(fmt.Errorf("hook install --systemd: %w", err), startableHint(self, err))
	}
	return self, nil
}

// startableHint is where a program may be that the units start.
func startableHint(self string, err error) string {
	const bin = "/usr/local/bin"
	var unsafe *unit.UnsafeError
	if filepath.Dir(self) == bin && errors.As(err, &unsafe) {
		path := plan.ShellWord(unsafe.Path)
		return "chown root " + path + "; chmod go-w " + path
	}
	programs := plan.ShellWord(self)
	if hook, err := hookBinary(); err == nil && filepath.Dir(hook) == filepath.Dir(self) {
		programs += " " + plan.ShellWord(hook)
	}
	return "install -m 0755 " + programs + " " + bin + "/; then: " + bin + "/virt-mtu hook install --systemd"
}

func installUnits(c *cobra.Command, program string) error {
	out := c.OutOrStdout()
	if there := unit.Packaged(); len(there) > 0 {
		return packagedUnits(c, there)
	}
	changes, kept, err := unit.Default.Install(program)
	var names, updated []string
	written := 0
	for _, change := range changes {
		names = append(names, change.Name)
		switch {
		case change.Updated:
			fmt.Fprintln(out, "updated", unit.Default.Path(change.Name))
			updated = append(updated, change.Name)
			written++
		case change.Written:
			fmt.Fprintln(out, "wrote", unit.Default.Path(change.Name))
			written++
		}
	}
	if err != nil {
		return failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	if written == 0 && len(kept) == 0 {
		fmt.Fprintf(out, "the units are in %s already, and start %s\n", unit.Default, program)
	} else if written > 0 {
		if err := reloadUnits(out, "install"); err != nil {
			return err
		}
	}
	if err := saysWhatRuns(out, names, updated); err != nil {
		return err
	}
	return saysKept(c, "install", kept)
}

// installUnitsDry says what installUnits would do.
func installUnitsDry(c *cobra.Command, program string) error {
	out := c.OutOrStdout()
	if there := unit.Packaged(); len(there) > 0 {
		return packagedUnits(c, there)
	}
	changes, kept, err := unit.Default.Pending(program)
	if err != nil {
		return failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	for _, change := range changes {
		switch {
		case change.Updated:
			fmt.Fprintln(out, "would update", unit.Default.Path(change.Name))
		case change.Written:
			fmt.Fprintln(out, "would write", unit.Default.Path(change.Name))
		}
	}
	return saysKept(c, "install", kept)
}

// packagedUnits says that a package has brought them; what is in the admin's own folder
// comes before those.
func packagedUnits(c *cobra.Command, there []string) error {
	fmt.Fprintf(c.OutOrStdout(), "the units are in %s already, by a package; none was written\n", filepath.Dir(there[0]))
	names, _, err := unit.Default.Written()
	if err != nil {
		return failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	if len(names) > 0 {
		complain(c.ErrOrStderr(), fmt.Errorf("hook install --systemd: units that it wrote earlier to %s come before the package's", unit.Default),
			"cd "+string(unit.Default)+" && rm "+strings.Join(names, " ")+"; systemctl daemon-reload")
	}
	return nil
}

func reloadUnits(out io.Writer, verb string) error {
	if !unit.Running() {
		fmt.Fprintln(out, "systemd does not run here; it reads the units when it starts")
		return nil
	}
	if err := unit.Reload(); err != nil {
		return failed(fmt.Errorf("hook %s --systemd: systemd has not read the units again: %w", verb, err), "systemctl daemon-reload")
	}
	fmt.Fprintln(out, "systemd has read its units again")
	return nil
}

// saysWhatRuns says what is left to do: what runs still runs as before, and what is not
// enabled is for the admin to choose.
func saysWhatRuns(out io.Writer, names, updated []string) error {
	active, err := unit.Active(updated)
	if err != nil {
		return failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	if len(active) > 0 {
		fmt.Fprintln(out, "runs as before until: systemctl restart", strings.Join(active, " "))
	}
	enabled, err := unit.Enabled(names)
	if err != nil {
		return failed(fmt.Errorf("hook install --systemd: %w", err), "")
	}
	if len(enabled) > 0 {
		fmt.Fprintln(out, "enabled:", strings.Join(enabled, " "))
		return nil
	}
	fmt.Fprintln(out, "none is enabled; choose:")
	for _, w := range unitWays {
		fmt.Fprintf(out, "  systemctl enable --now %-36s # %s\n", strings.Join(w.units, " "), w.what)
	}
	return nil
}

// saysKept complains of what was left as it is.
func saysKept(c *cobra.Command, verb string, kept []*unit.KeptError) error {
	for _, k := range kept {
		complain(c.ErrOrStderr(), fmt.Errorf("hook %s --systemd: %w", verb, k), k.Remedy())
	}
	if len(kept) > 0 {
		return failed(nil, "")
	}
	return nil
}

// idleUnits holds where none of the units is enabled or runs.
func idleUnits() error {
	names, _, err := unit.Default.Written()
	if err != nil {
		return failed(fmt.Errorf("hook uninstall --systemd: %w", err), "")
	}
	active, err1 := unit.Active(names)
	enabled, err2 := unit.Enabled(names)
	if err := errors.Join(err1, err2); err != nil {
		return failed(fmt.Errorf("hook uninstall --systemd: %w", err), "")
	}
	busy := slices.Compact(slices.Sorted(slices.Values(append(active, enabled...))))
	if len(busy) == 0 {
		return nil
	}
	list := strings.Join(busy, " ")
	return failed(fmt.Errorf("hook uninstall --systemd: nothing removed: enabled, or running: %s", list),
		"systemctl disable --now "+list+"; then: virt-mtu hook uninstall --systemd")
}

func uninstallUnits(c *cobra.Command) error {
	out := c.OutOrStdout()
	names, kept, err := unit.Default.Written()
	for _, name := range names {
		if err = unit.Default.Remove(name); err != nil {
			break
		}
		path := unit.Default.Path(name)
		fmt.Fprintln(out, "removed", path)
		if _, err := os.Lstat(path + ".d"); err == nil {
			fmt.Fprintln(out, "left", path+".d, which is yours")
		}
	}
	if err != nil {
		return failed(fmt.Errorf("hook uninstall --systemd: %w", err), "")
	}
	if len(names) > 0 {
		if err := reloadUnits(out, "uninstall"); err != nil {
			return err
		}
	} else if len(kept) == 0 {
		fmt.Fprintf(out, "no units of virt-mtu hook install --systemd in %s\n", unit.Default)
	}
	return saysKept(c, "uninstall", kept)
}

// tellOfUnits: without --systemd units stay.
func tellOfUnits(c *cobra.Command) error {
	names, _, err := unit.Default.Written()
	if err != nil {
		return failed(fmt.Errorf("hook uninstall: %w", err), "")
	}
	if len(names) > 0 {
		fmt.Fprintf(c.OutOrStdout(), "left %d units in %s; to remove them too: virt-mtu hook uninstall --systemd\n", len(names), unit.Default)
	}
	return nil
}
