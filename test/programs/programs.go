// Package programs builds the project's programs for tests on other machines: static, as
// they are installed.
package programs

import (
	"fmt"
	"os"
	"os/exec"
	"sync"
	"testing"
)

var folder string // empty: nobody has asked for them

// Build builds them at the first call, and returns their folder.
var Build = sync.OnceValues(func() (string, error) {
	var err error
	if folder, err = os.MkdirTemp("", "virt-mtu-programs."); err != nil {
		return "", err
	}
	// libvirt runs the hook as whatever user libvirtd is.
	if err := os.Chmod(folder, 0o755); err != nil {
		return "", err
	}
	cmd := exec.Command("go", "build", "-ldflags", "-s -w", "-o", folder, "virt-mtu/cmd/...")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("go build: %w\n%s", err, out)
	}
	return folder, nil
})

// Main runs the tests, and removes the programs that they had built. It is for TestMain,
// and returns its exit status.
func Main(m *testing.M) int {
	defer func() { os.RemoveAll(folder) }()
	return m.Run()
}

// Dir is Build for a test, which fails where it does.
func Dir(t testing.TB) string {
	t.Helper()
	dir, err := Build()
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
