package ansible

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"virt-mtu/test/container"
)

// repository makes /srv/debs of the machine a flat apt repository of one package, signed with
// a key of its own, and returns the path of that here.
func repository(t *testing.T, c *container.Container, deb string) string {
	t.Helper()
	home, err := os.MkdirTemp("", "vm-gpg.") // short: sockets are in it
	if err != nil {
		t.Fatal(err)
	}
	gpg := func(args ...string) string {
		t.Helper()
		cmd := exec.Command("gpg", append([]string{"--homedir", home, "--batch", "--quiet", "--passphrase", "", "--pinentry-mode", "loopback"}, args...)...)
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s: %v", cmd, err)
		}
		return string(out)
	}
	t.Cleanup(func() {
		exec.Command("gpgconf", "--homedir", home, "--kill", "all").Run()
		os.RemoveAll(home)
	})
	gpg("--quick-generate-key", "test <test@virt-mtu.invalid>", "ed25519", "sign", "1d")
	key := filepath.Join(home, "key.asc")
	write(t, key, gpg("--armor", "--export"))

	control, err := exec.Command("dpkg-deb", "--field", deb).Output()
	if err != nil {
		t.Fatal(err)
	}
	content := read(t, deb)
	const name = "virt-mtu.deb"
	packages := fmt.Sprintf("%sFilename: %s\nSize: %d\nSHA256: %x\n", control, name, len(content), sha256.Sum256([]byte(content)))
	release := filepath.Join(home, "Release")
	write(t, release, fmt.Sprintf("Origin: virt-mtu\nDate: %s\nSHA256:\n %x %d Packages\n",
		time.Now().UTC().Format(time.RFC1123), sha256.Sum256([]byte(packages)), len(packages)))
	c.WriteFile(t, "/srv/debs/"+name, content, 0o644)
	c.WriteFile(t, "/srv/debs/Packages", packages, 0o644)
	c.WriteFile(t, "/srv/debs/InRelease", gpg("--clearsign", "--output", "-", release), 0o644)
	return key
}

func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}
