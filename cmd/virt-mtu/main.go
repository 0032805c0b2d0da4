// Command virt-mtu keeps the MTU of KVM guests right from the guest to the wire.
package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"virt-mtu/internal/oneline"
)

// version is set by the build.
var version = "devel"

func main() {
	os.Exit(run(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is the command: the result is its exit status. Data goes to stdout,
// messages to stderr.
func run(args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := newRoot()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteC()
	if err == nil {
		return exitOK
	}
	var status *statusError
	if !errors.As(err, &status) {
		// What cobra itself refuses: an unknown command, a missing argument.
		status = &statusError{exitUsage, err, "virt-mtu --help"}
	}
	if status.err != nil {
		complain(stderr, status.err, status.hint)
	}
	if code, err := strconv.Atoi(c.Annotations[usageStatus]); err == nil && status.code == exitUsage && status.err != nil {
		return code
	}
	return status.code
}

// outputs are the words that -o takes.
func outputs(c *cobra.Command) []string {
	return strings.Fields(cmp.Or(c.Annotations[formats], "text json"))
}

// Annotations of commands that differ from the others.
const (
	// formats are the words that -o takes.
	formats = "formats"
	// usageStatus is the exit status for wrong usage, where it is not exitUsage.
	usageStatus = "usage-status"
)

// Exit statuses that all commands share.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

// statusError ends the command with a status. Without err there is nothing left
// to say.
type statusError struct {
	code int
	err  error
	hint string
}

func (e *statusError) Error() string { return fmt.Sprint(e.err) }
func (e *statusError) Unwrap() error { return e.err }

func failed(err error, hint string) error { return &statusError{exitFailed, err, hint} }

func usage(format string, a ...any) error {
	return &statusError{exitUsage, fmt.Errorf(format, a...), ""}
}

// complain writes one message in the form that all of them have.
func complain(w io.Writer, err error, hint string) {
	const longest = 4000 // names come from domain XML
	fmt.Fprintf(w, "virt-mtu: %s\n", oneline.Text(err.Error(), longest))
	if hint != "" {
		fmt.Fprintf(w, "hint: %s\n", oneline.Text(hint, longest))
	}
}

// globals are the flags that every command has.
type globals struct {
	connect string
	config  string
	output  string
}

// additions are commands of builds with tags.
var additions []func(root *cobra.Command)

func newRoot() *cobra.Command {
	g := &globals{}
	root := &cobra.Command{
		Use:   "virt-mtu",
		Short: "keep the MTU of KVM guests right from the guest to the wire",
		Long: `On a KVM host five things must agree about the MTU: the wire and its tunnels, the
bridge, the tap, the guest's NIC, and what the guest believes. virt-mtu finds out what
really gets through, puts <mtu> into the definitions of domains, sets their taps, and by
a hook of libvirt's refuses guests that cannot work.

check, calc, facts, probe and rewrite change nothing; fix and watch do, and hook puts
the hook in its place. Data goes to stdout, messages to stderr.`,
		Example: `  virt-mtu check
  virt-mtu fix --all --dry-run --diff
  virt-mtu fix web1
  virt-mtu hook install`,
		Version:       version,
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.NoArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.PersistentPreRunE = func(c *cobra.Command, _ []string) error {
		words := outputs(c)
		if !slices.Contains(words, g.output) {
			last := len(words) - 1
			return usage("-o %q: it takes %s or %s", g.output, strings.Join(words[:last], ", "), words[last])
		}
		return g.stays(c)
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return &statusError{exitUsage, err, c.CommandPath() + " --help"}
	})
	f := root.PersistentFlags()
	f.StringVar(&g.connect, "connect", "", "libvirt `URI` (default $LIBVIRT_DEFAULT_URI, then qemu:///system); check, facts and fix also take qemu+ssh://HOST/system and qemu+tcp://HOST/system")
	f.StringVar(&g.config, "config", defaultConfig, "config `FILE`")
	f.StringVarP(&g.output, "output", "o", "text", "output `FORMAT`: text or json; for check also prometheus, dot or svg")
	root.AddCommand(newFix(g), newWatch(g), newCheck(g), newFacts(g), newProbe(g), newRewrite(g), newHook(g), newCalc(g))
	completions(root, g)
	for _, add := range additions {
		add(root)
	}
	strictHelp(root)
	return root
}

// strictHelp makes help of a command that there is not wrong usage. To cobra it is none.
func strictHelp(root *cobra.Command) {
	root.InitDefaultHelpCmd()
	help, _, err := root.Find([]string{"help"})
	if err != nil {
		return // root has no commands
	}
	show := help.Run
	help.Run = nil
	help.RunE = func(c *cobra.Command, args []string) error {
		if _, rest, err := root.Find(args); err != nil || len(rest) > 0 {
			return &statusError{exitUsage, fmt.Errorf("help: no command %q", strings.Join(args, " ")), "virt-mtu --help"}
		}
		show(c, args)
		return nil
	}
}
