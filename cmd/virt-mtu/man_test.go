package main

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"virt-mtu/internal/unit"
	"virt-mtu/packaging"
)

// commands are those that a user finds, the root first.
func commands(root *cobra.Command) []*cobra.Command {
	all := []*cobra.Command{root}
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() && c.Name() != "help" && c.Name() != "completion" {
			all = append(all, commands(c)...)
		}
	}
	return all
}

func TestEveryCommandHasAnExample(t *testing.T) {
	for _, c := range commands(newRoot()) {
		if c.Example == "" || c.Long == "" && !c.HasSubCommands() {
			t.Errorf("%s: its --help lacks an example or a text", c.CommandPath())
		}
		// An example is a line that somebody pastes: its flags have to be there.
		for _, flag := range regexp.MustCompile(`(?m)virt-mtu [^|#\n]*`).FindAllString(c.Example, -1) {
			words := strings.Fields(strings.Split(flag, ">")[0])[1:]
			of, _, err := newRoot().Find(words)
			if err != nil {
				t.Errorf("%s: example %q: %v", c.CommandPath(), flag, err)
				continue
			}
			for _, w := range words {
				if name, ok := strings.CutPrefix(w, "--"); ok {
					name, _, _ = strings.Cut(name, "=")
					if of.Flag(name) == nil && of.InheritedFlags().Lookup(name) == nil {
						t.Errorf("%s: example %q: no flag --%s", c.CommandPath(), flag, name)
					}
				}
			}
		}
	}
}

// buildMan builds the pages as make man does.
func buildMan(t *testing.T) (dir string) {
	t.Helper()
	dir = t.TempDir()
	cmd := exec.Command("go", "run", "-tags", "man", ".", "man", "../..", dir)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1700000000")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

func TestManPages(t *testing.T) {
	dir := buildMan(t)
	files, err := filepath.Glob(dir + "/man*/*")
	if err != nil {
		t.Fatal(err)
	}
	pages := map[string]string{} // "virt-mtu(1)" to its text
	for _, f := range files {
		name := filepath.Base(f)
		dot := strings.LastIndexByte(name, '.')
		pages[fmt.Sprintf("%s(%s)", name[:dot], name[dot+1:])] = rendered(t, f)
	}
	for _, c := range commands(newRoot()) {
		page := strings.ReplaceAll(c.CommandPath(), " ", "-") + "(1)"
		if pages[page] == "" {
			t.Errorf("no page %s", page)
			continue
		}
		text := pages[page]
		if got, _, _ := strings.Cut(text, "DESCRIPTION"); strings.Contains(got, c.CommandPath()+" "+c.CommandPath()) {
			t.Errorf("%s: %s", page, got)
		}
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" && !strings.Contains(text, "--"+f.Name) {
				t.Errorf("%s does not have --%s", page, f.Name)
			}
		})
	}
	for _, page := range []string{"virt-mtu-config(5)", "virt-mtu-hook(7)", "virt-mtu-qemu-hook(8)"} {
		if pages[page] == "" {
			t.Errorf("no page %s", page)
		}
	}
	for _, name := range unit.Names() {
		raw, err := fs.ReadFile(packaging.Units(), name)
		if err != nil {
			t.Fatal(err)
		}
		said := regexp.MustCompile(`man:(\S+)`).FindAllStringSubmatch(string(raw), -1)
		for _, m := range said {
			if pages[m[1]] == "" {
				t.Errorf("%s sends to %s, which there is not", name, m[1])
			}
		}
		if said == nil {
			t.Errorf("%s has no Documentation=", name)
		}
	}
	for page, text := range pages {
		for _, heading := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "SEE ALSO"} {
			if !strings.Contains(text, "\n"+heading+"\n") && page != "virt-mtu-hook(7)" {
				t.Errorf("%s has no %s", page, heading)
			}
		}
		if !strings.Contains(text, "2023-11-14") {
			t.Errorf("%s: not of the day that SOURCE_DATE_EPOCH says", page)
		}
		// Markdown that was not taken for such.
		if m := regexp.MustCompile("(?m)\\*\\*|```|^ *\\| |@[A-Z]+@").FindString(text); m != "" {
			t.Errorf("%s shows %q", page, m)
		}
		_, also, _ := strings.Cut(text, "SEE ALSO")
		for _, to := range regexp.MustCompile(`virt-mtu[a-z-]*\([0-9]\)`).FindAllString(also, -1) {
			if pages[to] == "" {
				t.Errorf("%s sends to %s, which there is not", page, to)
			}
		}
	}
}

// rendered is a page as a terminal that is wide enough shows it, in plain text. It
// fails where man warns of something, at the usual width.
func rendered(t *testing.T, file string) string {
	t.Helper()
	for _, tool := range []string{"man", "groff"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("no %s here", tool)
		}
	}
	show := func(width string) (string, string) {
		var out, warnings strings.Builder
		cmd := exec.Command("man", "--warnings", "-E", "ascii", "--nh", "--nj", "-P", "cat", "-l", file)
		cmd.Env = append(os.Environ(), "MANWIDTH="+width, "MANPAGER=cat", "LC_ALL=C.UTF-8")
		cmd.Stdout, cmd.Stderr = &out, &warnings
		if err := cmd.Run(); err != nil {
			t.Fatalf("man %s: %v\n%s", file, err, &warnings)
		}
		return out.String(), warnings.String()
	}
	narrow, warnings := show("80")
	if warnings != "" {
		t.Errorf("%s: %s", file, warnings)
	}
	for line := range strings.Lines(narrow) {
		// A command is not broken: it is there to be pasted.
		if len(line) > 81 && !strings.HasPrefix(strings.TrimSpace(line), "vir") {
			t.Errorf("%s is too wide for a terminal: %s", file, line)
		}
	}
	text, _ := show("1000")
	return text
}
