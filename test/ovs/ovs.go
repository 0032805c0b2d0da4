// Package ovs runs an Open vSwitch of a test's own, inside of netns.Run. Its
// bridges have to be of the userspace datapath (datapath_type=netdev): the kernel's
// is not on every machine.
package ovs

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"virt-mtu/test/netns"
)

// RunDir is where Open vSwitch keeps its sockets.
const RunDir = "/run/openvswitch"

// schema finds the database's: the package's, or the one that hack/deps.sh has taken
// out of it.
func schema(t *testing.T) string {
	t.Helper()
	const name = "vswitch.ovsschema"
	if path := filepath.Join("/usr/share/openvswitch", name); exists(path) {
		return path
	}
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		if path := filepath.Join(dir, "build", "tools", name); exists(path) {
			return path
		}
	}
	t.Fatalf("there is no %s: make deps", name)
	return ""
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Start starts ovsdb-server and ovs-vswitchd on an empty database, all of it in
// /run, which netns.Run made the test's own. They end with the test. Without their
// programs the test is skipped, or fails where CI=true.
func Start(t *testing.T) {
	t.Helper()
	netns.Need(t, "ovsdb-tool", "ovsdb-server", "ovs-vswitchd", "ovs-vsctl", "ip")
	if err := os.MkdirAll(RunDir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"OVS_RUNDIR", "OVS_DBDIR", "OVS_LOGDIR", "OVS_SYSCONFDIR"} {
		t.Setenv(dir, RunDir)
	}
	netns.IP(t, "link set lo up")
	db, socket := filepath.Join(RunDir, "conf.db"), filepath.Join(RunDir, "db.sock")
	run(t, "ovsdb-tool", "create", db, schema(t))
	start(t, "ovsdb-server", db, "--remote=punix:"+socket)
	wait(t, socket)
	run(t, "ovs-vsctl", "--no-wait", "init")
	start(t, "ovs-vswitchd", "unix:"+socket)
}

// Vsctl runs one ovs-vsctl command line, without quotes, and waits until it has
// taken effect. It returns what the command says.
func Vsctl(t *testing.T, line string) string {
	t.Helper()
	return run(t, "ovs-vsctl", append([]string{"--timeout=20"}, strings.Fields(line)...)...)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// start starts a daemon in the foreground.
func start(t *testing.T, name string, args ...string) {
	t.Helper()
	cmd := exec.Command(name, append(args, "-vsyslog:off", "--unixctl="+filepath.Join(RunDir, name+".ctl"))...)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	// For where the test ends without a clean-up.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", name, err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait()
		if t.Failed() {
			t.Logf("%s:\n%s", name, said.String())
		}
	})
}

func wait(t *testing.T, path string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if _, err := os.Stat(path); err == nil {
			return
		}
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", path)
		}
	}
}
