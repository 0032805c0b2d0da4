package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// Every package that the hook links is paid for at every domain start, with all of
// libvirt waiting. These came in by accident once somewhere, or bring much with them.
func TestDependencies(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-f", "{{.Standard}} {{.ImportPath}}", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	for _, std := range []string{"net", "net/http", "os/exec", "os/user", "regexp", "log", "log/syslog", "testing", "runtime/cgo", "text/template", "crypto/tls"} {
		if slices.Contains(lines, "true "+std) {
			t.Errorf("it links %s", std)
		}
	}
	if !slices.Contains(lines, "false virt-mtu/internal/hook") {
		t.Errorf("go list says nothing of the hook: %q", lines)
	}
	for _, line := range lines {
		pkg, foreign := strings.CutPrefix(line, "false ")
		if foreign && !slices.ContainsFunc([]string{"virt-mtu/", "golang.org/x/sys/", "github.com/pelletier/go-toml/v2"}, func(ok string) bool {
			return strings.HasPrefix(pkg, ok)
		}) {
			t.Errorf("it links %s, of a module that the hook is to do without", pkg)
		}
	}
}
