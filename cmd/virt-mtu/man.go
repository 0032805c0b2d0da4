//go:build man

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/cpuguy83/go-md2man/v2/md2man"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Whoever builds the pages (make man) has this command; no program that is installed
// carries it.
func init() {
	additions = append(additions, func(root *cobra.Command) {
		root.AddCommand(&cobra.Command{
			Use:    "man SOURCE DIR",
			Short:  "write the man pages",
			Hidden: true,
			Args:   cobra.ExactArgs(2),
			RunE:   func(_ *cobra.Command, args []string) error { return writeMan(root, args[0], args[1]) },
		})
	})
}

// writeMan writes a page for each command, and those that are written by hand in source,
// the folder of the project, to manN folders in dir.
func writeMan(root *cobra.Command, source, dir string) error {
	date, err := manDate()
	if err != nil {
		return err
	}
	title := func(page string, section int) string {
		return fmt.Sprintf("%% %q %q %q %q %q\n", strings.ToUpper(page), strconv.Itoa(section), date, "virt-mtu "+version, "virt-mtu")
	}
	put := func(page string, section int, text string) error {
		folder := filepath.Join(dir, fmt.Sprintf("man%d", section))
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		roff := polished(string(md2man.Render([]byte(title(page, section) + text))))
		return os.WriteFile(filepath.Join(folder, fmt.Sprintf("%s.%d", page, section)), []byte(roff), 0o644)
	}
	var walk func(c *cobra.Command) error
	walk = func(c *cobra.Command) error {
		if err := put(pageOf(c), 1, commandPage(c)); err != nil {
			return err
		}
		for _, sub := range documented(c) {
			if err := walk(sub); err != nil {
				return err
			}
		}
		return nil
	}
	if err := walk(root); err != nil {
		return err
	}
	read := func(file string) string {
		text, rerr := os.ReadFile(filepath.Join(source, file))
		if rerr != nil && err == nil {
			err = rerr
		}
		return string(text)
	}
	config := strings.Replace(read("docs/man/config.md"), "@REFERENCE@", fenced(read("examples/config.toml")), 1)
	// The table of operations is kept once, beside what it is about.
	_, hooks, _ := strings.Cut(read("hooks/README.md"), "\n## ")
	about := strings.Replace(read("docs/man/hook.md"), "@HOOKS@", listed(headings(hooks)), 1)
	program := read("docs/man/qemu-hook.md")
	if err != nil {
		return err
	}
	for _, p := range []struct {
		page    string
		section int
		text    string
	}{{"virt-mtu-config", 5, config}, {"virt-mtu-hook", 7, about}, {"virt-mtu-qemu-hook", 8, program}} {
		if err := put(p.page, p.section, p.text); err != nil {
			return err
		}
	}
	return nil
}

// polished is a page that reads well and can be pasted from. A bare hyphen is a
// typographic one in groff since 1.23, and a place to break the line; a path that is
// hyphenated is another one. What .TH sets has to be set after it.
func polished(roff string) string {
	hyphen := regexp.MustCompile(`\\?-`)
	var b strings.Builder
	for line := range strings.Lines(roff) {
		switch {
		case strings.HasPrefix(line, ".TH "):
			line += ".nh\n.ad l\n"
		case !strings.HasPrefix(line, "."):
			line = hyphen.ReplaceAllString(line, `\-`)
		}
		b.WriteString(line)
	}
	return b.String()
}

// manDate is the day that the pages bear: reproducible-builds.org's variable, or none.
func manDate() (string, error) {
	epoch := os.Getenv("SOURCE_DATE_EPOCH")
	if epoch == "" {
		return "", nil
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil {
		return "", fmt.Errorf("SOURCE_DATE_EPOCH: %w", err)
	}
	return time.Unix(seconds, 0).UTC().Format(time.DateOnly), nil
}

func pageOf(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

func documented(c *cobra.Command) (subs []*cobra.Command) {
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" && sub.Name() != "completion" {
			subs = append(subs, sub)
		}
	}
	return subs
}

// commandPage is a command's page in Markdown.
func commandPage(c *cobra.Command) string {
	var b strings.Builder
	fmt.Fprintf(&b, "# NAME\n%s - %s\n\n", pageOf(c), escaped(c.Short))
	fmt.Fprintf(&b, "# SYNOPSIS\n")
	subs := documented(c)
	for _, sub := range subs {
		fmt.Fprintf(&b, "%s\n\n", synopsis(sub))
	}
	if len(subs) == 0 {
		fmt.Fprintf(&b, "%s\n\n", synopsis(c))
	}
	about, status := cut(c.Long, "Exit status")
	if about == "" {
		about = capital(c.Short) + "."
	}
	fmt.Fprintf(&b, "# DESCRIPTION\n%s\n\n", paragraphs(about))
	if len(subs) > 0 {
		fmt.Fprint(&b, "# COMMANDS\n")
		for _, sub := range subs {
			fmt.Fprintf(&b, "**%s**(1)\n: %s\n\n", pageOf(sub), escaped(sub.Short))
		}
	}
	options(&b, "OPTIONS", c.NonInheritedFlags())
	options(&b, "OPTIONS OF EVERY COMMAND", c.InheritedFlags())
	if status != "" {
		fmt.Fprintf(&b, "# EXIT STATUS\n%s\n\n", escaped(capital(status)))
	}
	if c.Example != "" {
		fmt.Fprintf(&b, "# EXAMPLES\n%s\n", fenced(unindented(c.Example)))
	}
	if !c.HasParent() {
		fmt.Fprint(&b, environment)
	}
	var also []string
	if c.HasParent() {
		also = append(also, "**"+pageOf(c.Parent())+"**(1)")
		for _, sibling := range documented(c.Parent()) {
			if sibling != c {
				also = append(also, "**"+pageOf(sibling)+"**(1)")
			}
		}
	}
	also = append(also, "**virt-mtu-config**(5)", "**virt-mtu-hook**(7)", "**virt-mtu-qemu-hook**(8)")
	fmt.Fprintf(&b, "# SEE ALSO\n%s\n", strings.Join(also, ", "))
	return b.String()
}

// synopsis is a line of what a command takes; of one with commands below it their names.
func synopsis(c *cobra.Command) string {
	takes := strings.TrimSpace(strings.TrimPrefix(c.UseLine(), c.CommandPath()))
	if subs := documented(c); len(subs) > 0 {
		var names []string
		for _, sub := range subs {
			names = append(names, sub.Name())
		}
		takes = strings.Join(names, "|")
	}
	return strings.TrimSpace("**" + c.CommandPath() + "** " + escaped(takes))
}

const environment = `# ENVIRONMENT
**LIBVIRT_DEFAULT_URI**
: the libvirt that commands speak to where --connect does not say; qemu:///system where neither does; watch does not start where it names another host's, and the hook passes that over

**NO_COLOR**
: no colour, also on a terminal

# FILES
**/etc/virt-mtu/config.toml**
: the config: virt-mtu-config(5)

**/etc/libvirt/hooks/qemu.d/50-virt-mtu**
: the hook, once virt-mtu hook install has put it there

**/run/virt-mtu**
: what the hook leaves for fix and watch: its queue, marks of guests that are coming in; root's alone

`

func options(b *strings.Builder, heading string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(b, "# %s\n", heading)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Deprecated != "" {
			return
		}
		value, text := pflag.UnquoteUsage(f)
		name := "**--" + f.Name + "**"
		if f.Shorthand != "" {
			name = "**-" + f.Shorthand + "**, " + name
		}
		if value != "" {
			name += " _" + value + "_"
		}
		if d := f.DefValue; d != "" && d != "false" && d != "[]" && d != "0" {
			text += " (default " + d + ")"
		}
		fmt.Fprintf(b, "%s\n: %s\n\n", name, escaped(text))
	})
}

// cut splits a command's text at the paragraph that begins so.
func cut(text, begin string) (before, after string) {
	before, after, _ = strings.Cut(text, "\n\n"+begin)
	if before == text {
		return text, ""
	}
	return before, strings.TrimLeft(strings.TrimPrefix(after, ":"), ", ")
}

func capital(s string) string {
	s = strings.TrimSpace(s)
	return strings.ToUpper(s[:1]) + s[1:]
}

// paragraphs makes Markdown of a command's text: what is indented there, and whatever
// stands in columns, stays as it is.
func paragraphs(text string) string {
	var out []string
	for _, p := range strings.Split(strings.Trim(text, "\n"), "\n\n") {
		if verbatim(p) {
			out = append(out, fenced(unindented(p)))
		} else {
			out = append(out, escaped(p))
		}
	}
	return strings.Join(out, "\n\n")
}

func verbatim(paragraph string) bool {
	for line := range strings.Lines(paragraph) {
		if strings.HasPrefix(line, "  ") {
			return true
		}
	}
	return false
}

func unindented(s string) string {
	lines := strings.Split(strings.Trim(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimPrefix(lines[i], "  ")
	}
	return strings.Join(lines, "\n")
}

// headings makes sections of a page of the "## " of a file.
func headings(text string) string {
	lines := strings.Split("## "+text, "\n")
	for i, l := range lines {
		if h, ok := strings.CutPrefix(l, "## "); ok {
			lines[i] = "# " + strings.ToUpper(h)
		}
	}
	return strings.Join(lines, "\n")
}

// listed makes lists of Markdown's tables, which are too wide for a terminal: of each
// row its first cell, and below it the others with what their column is called.
func listed(text string) string {
	cells := func(row string) []string {
		all := strings.Split(strings.Trim(strings.TrimSpace(row), "|"), "|")
		for i := range all {
			all[i] = strings.TrimSpace(all[i])
		}
		return all
	}
	var out, header []string
	for _, l := range strings.Split(text, "\n") {
		switch {
		case !strings.HasPrefix(l, "|"):
			header = nil
			out = append(out, l)
		case header == nil:
			header = cells(l)
		case !strings.HasPrefix(l, "|-"):
			row := cells(l)
			var said []string
			for i, cell := range row[1:] {
				if cell == "-" {
					continue
				}
				if len(row) > 2 {
					cell = "_" + capital(header[i+1]) + "_: " + cell
				}
				said = append(said, cell)
			}
			out = append(out, row[0], ": "+strings.Join(said, ". "), "")
		}
	}
	return strings.Join(out, "\n")
}

func fenced(s string) string { return "```\n" + strings.TrimSuffix(s, "\n") + "\n```\n" }

// escaped makes Markdown that reads as s.
func escaped(s string) string {
	return strings.NewReplacer(`\`, `\\`, "*", `\*`, "_", `\_`, "<", `\<`, ">", `\>`, "`", "\\`", "[", `\[`, "]", `\]`, "|", `\|`, "~", `\~`).Replace(s)
}
