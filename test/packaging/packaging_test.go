package packaging

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Folders, from here.
const (
	root    = "../.."
	systemd = root + "/packaging/systemd"
	rules   = root + "/packaging/prometheus/virt-mtu.rules.yml"
	board   = root + "/packaging/grafana/virt-mtu.json"
	units   = "virt-mtu-*"
)

// tool finds a program in PATH, or where hack/deps.sh has put it. Without it the test is
// skipped, or fails where CI=true.
func tool(t *testing.T, name string) string {
	t.Helper()
	if path, err := exec.LookPath(name); err == nil {
		return path
	}
	path, err := filepath.Abs(filepath.Join(root, "build/tools", name))
	if err == nil {
		_, err = os.Stat(path)
	}
	switch {
	case err == nil:
		return path
	case os.Getenv("CI") == "true":
		t.Fatalf("needs %s: make deps", name)
	}
	t.Skipf("needs %s: make deps", name)
	return ""
}

// run runs a program, which should succeed, and returns all that it says.
func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	must(t, err)
	return string(text)
}

// files returns the paths of the files in packaging/systemd that match.
func files(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(systemd, pattern))
	must(t, err)
	if len(found) == 0 {
		t.Fatalf("there is no %s in %s", pattern, systemd)
	}
	return found
}
