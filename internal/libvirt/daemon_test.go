package libvirt

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// daemon is a real libvirtd in namespaces of its own.
type daemon struct {
	t   *testing.T
	pid int // of the namespaces' first process, as seen from here
}

// daemonScript is that first process. It must reap orphans, or every end of a QEMU
// takes libvirt 40 s: bash does. It ends, and the namespaces with it, when its
// standard input does, however the test ends.
const daemonScript = `
set -e
mount --make-rprivate /
mount -t proc proc /proc
mount -t sysfs sysfs /sys
for d in /run /etc/libvirt /var/lib/libvirt /var/log/libvirt /var/cache/libvirt; do
	[ ! -d $d ] || mount -t tmpfs -o mode=755 tmpfs $d
done
ip link set lo up
# libvirtd looks its default user up even where qemu.conf names another, and not
# every package of it makes that user.
cp /etc/passwd /etc/group /run
echo libvirt-qemu:x:64055:64055::/:/bin/false >> /run/passwd
printf '%s\n' libvirt-qemu:x:64055: kvm:x:64056: >> /run/group
mount --bind /run/passwd /etc/passwd
mount --bind /run/group /etc/group
cat > /etc/libvirt/libvirtd.conf <<C
unix_sock_group = "root"
auth_unix_rw = "none"
host_uuid = "$(cat /proc/sys/kernel/random/uuid)"
log_outputs = "2:file:/run/libvirtd.log"
C
cat > /etc/libvirt/qemu.conf <<C
security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
stdio_handler = "file"
C
libvirtd -f /etc/libvirt/libvirtd.conf 2>/run/libvirtd.err &
echo $! > /run/virt-mtu-test.pid
while read -t 1 line || [ $? -gt 128 ]; do :; done
`

func startDaemon(t *testing.T) *daemon {
	t.Helper()
	if os.Geteuid() != 0 {
		unable(t, "needs root: runs libvirtd in namespaces of its own")
	}
	for _, tool := range []string{"libvirtd", "virsh", "qemu-system-x86_64", "nsenter"} {
		if _, err := exec.LookPath(tool); err != nil {
			unable(t, "needs "+tool)
		}
	}
	cmd := exec.Command("bash", "-c", daemonScript)
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID |
		syscall.CLONE_NEWNET | syscall.CLONE_NEWIPC | syscall.CLONE_NEWUTS}
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Process.Kill()
		cmd.Wait()
	})
	d := &daemon{t, cmd.Process.Pid}
	eventually(t, "libvirtd's socket", func() bool {
		// Without the first, /run may still be the machine's, and so the socket.
		_, err1 := os.Stat(d.path("/run/virt-mtu-test.pid"))
		if err1 != nil {
			return false
		}
		// The socket is there before libvirtd listens on it.
		c, err := Dial(context.Background(), d.uri(), time.Second)
		if err != nil {
			return false
		}
		c.Close()
		return true
	})
	return d
}

// unable skips a test, except in CI, where everything has to be there.
func unable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// path returns the way from here to a path of the daemon's.
func (d *daemon) path(p string) string {
	return filepath.Join("/proc", fmt.Sprint(d.pid), "root", p)
}

func (d *daemon) uri() string {
	return "qemu+unix:///system?socket=" + d.path("/run/libvirt/libvirt-sock")
}

func (d *daemon) dial(timeout time.Duration) *Conn {
	d.t.Helper()
	c, err := Dial(context.Background(), d.uri(), timeout)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(c.Close)
	return c
}

// run runs a command beside the daemon and returns what it says.
func (d *daemon) run(args ...string) string {
	d.t.Helper()
	cmd := exec.Command("nsenter", append([]string{"-t", fmt.Sprint(d.pid), "-m", "-n", "-p", "-i", "-u", "--"}, args...)...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.t.Fatalf("%q: %v: %s", args, err, out)
	}
	return strings.TrimSpace(string(out))
}

func (d *daemon) virsh(args ...string) string {
	d.t.Helper()
	return d.run(append([]string{"virsh", "-q"}, args...)...)
}

func (d *daemon) signal(sig string) {
	d.t.Helper()
	pid, err := os.ReadFile(d.path("/run/virt-mtu-test.pid"))
	if err != nil {
		d.t.Fatal(err)
	}
	d.run("kill", "-"+sig, strings.TrimSpace(string(pid)))
}

// file puts a file where virsh finds it, and returns its path there.
func (d *daemon) file(text string) string {
	d.t.Helper()
	f, err := os.CreateTemp(d.path("/run"), "")
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.WriteString(f, text); err != nil {
		d.t.Fatal(err)
	}
	return "/run/" + filepath.Base(f.Name())
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
