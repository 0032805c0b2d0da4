package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"virt-mtu/test/lab"
)

// Addresses of the two hosts that cable lays a wire between. The second host has two, so
// that one report can have it by two ways.
const (
	hereAddr   = "198.51.100.1"
	thereAddr  = "198.51.100.2"
	thereAddr2 = "198.51.100.3"
)

// cable lays a wire between two hosts.
func cable(t testing.TB, here, there *lab.Host) {
	t.Helper()
	here.Wire(t, "mig", there, "mig")
	here.Run(t, "ip", "addr", "add", hereAddr+"/24", "dev", "mig")
	here.Run(t, "ip", "link", "set", "mig", "up")
	there.Run(t, "ip", "addr", "add", thereAddr+"/24", "dev", "mig")
	there.Run(t, "ip", "addr", "add", thereAddr2+"/24", "dev", "mig")
	there.Run(t, "ip", "link", "set", "mig", "up")
}

// remoteBin is the folder of which the programs come first in PATH for who comes by ssh.
const remoteBin = "/run/lab/bin"

// sshd starts a real sshd on the host there, with keys of its own, and lets root of the
// host here in. Both have their keys in the hosts' own home, not in the machine's.
func sshd(t testing.TB, here, there *lab.Host) {
	t.Helper()
	tools, err := filepath.Abs("../../build/tools")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(tools, "sshd")); err != nil {
		if _, err := exec.LookPath("/usr/sbin/sshd"); err != nil {
			unable(t, "needs sshd: hack/deps.sh test")
		}
	}
	for _, tool := range []string{"ssh", "ssh-keygen"} {
		if _, err := exec.LookPath(tool); err != nil {
			unable(t, "needs "+tool)
		}
	}
	for _, h := range []*lab.Host{here, there} {
		h.Run(t, "bash", "-euc", `
			# ssh and sshd go by what is written here, not by $HOME
			sed -i 's|^root:\([^:]*\):0:0:\([^:]*\):[^:]*:|root:\1:0:0:\2:/run/lab/home:|' /etc/passwd
			sed -i 's|^root:[^:]*:|root:*:|' /etc/shadow # an account that is locked is not let in
			grep -q ^sshd: /etc/passwd || echo 'sshd:x:64066:65534::/run/sshd:/usr/sbin/nologin' >>/etc/passwd
			mkdir -p -m 755 /run/sshd
			mkdir -p -m 700 /run/lab/home/.ssh
			mkdir -p `+remoteBin+`
			ssh-keygen -q -t ed25519 -N '' -C '' -f /run/lab/home/.ssh/id_ed25519`)
	}
	there.WriteFile(t, "/run/lab/home/.ssh/authorized_keys", here.ReadFile(t, "/run/lab/home/.ssh/id_ed25519.pub"), 0o600)
	here.WriteFile(t, "/run/lab/home/.ssh/known_hosts", thereAddr+" "+there.ReadFile(t, "/run/lab/home/.ssh/id_ed25519.pub"), 0o600)
	there.WriteFile(t, "/run/lab/sshd_config", `ListenAddress 0.0.0.0
HostKey /run/lab/home/.ssh/id_ed25519
PidFile /run/lab/sshd.pid
UsePAM no
SetEnv PATH=`+remoteBin+`:/usr/bin:/bin
`, 0o600)
	there.Run(t, "bash", "-euc", `"$(type -P sshd)" -f /run/lab/sshd_config -E /run/lab/sshd.log`)
}

func unable(t testing.TB, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}
