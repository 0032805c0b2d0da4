// Package netns runs a test in network and mount namespaces of its own, where it
// may make and break links as it likes. It needs root, and iproute2 for IP.
package netns

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// inside names the test that the process was started for, as Run starts it.
const inside = "VIRT_MTU_NETNS_TEST"

// Run runs body as the test t in a process of its own, in which the whole network
// is one lo that is down, /sys shows that network, /run is empty, and no mount
// reaches the outside. All of it goes when the process does, however it ends.
//
// Statements before and after Run are executed in both processes. Without the
// privilege the test is skipped, or fails where CI=true.
func Run(t *testing.T, body func(t *testing.T)) {
	t.Helper()
	if os.Getenv(inside) == t.Name() {
		mount(t, "sysfs", "/sys")
		mount(t, "tmpfs", "/run")
		body(t)
		return
	}
	if os.Geteuid() != 0 {
		unable(t, "needs root for namespaces of its own")
	}

	cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run="+only(t.Name()))
	if end, ok := t.Deadline(); ok {
		cmd.Args = append(cmd.Args, "-test.timeout="+(time.Until(end)*9/10).String())
	}
	cmd.Env = append(os.Environ(), inside+"="+t.Name())
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.WaitDelay = time.Second // a child that it left behind may hold the pipe
	// Unshareflags, not Cloneflags: with CLONE_NEWNS it makes every mount private too.
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	// Pdeathsig follows the thread that forked, not the process.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()

	err := cmd.Run()
	switch result := verdict(out.String(), t.Name()); {
	case errors.Is(err, syscall.EPERM):
		unable(t, "may not make namespaces: "+err.Error())
	case err == nil && result == "SKIP":
		t.Skip(out.String())
	case err == nil && result == "PASS":
		if testing.Verbose() {
			t.Log(out.String())
		}
	default: // also where nothing ran
		t.Fatalf("in its namespace: %v\n%s", err, out.String())
	}
}

// IP runs ip(8) commands, separated by semicolons or lines and written without the
// word ip, in one ip process. The test ends at the first that fails.
func IP(t *testing.T, commands string) {
	t.Helper()
	cmd := exec.Command("ip", "-batch", "-")
	cmd.Stdin = strings.NewReader(strings.ReplaceAll(commands, ";", "\n") + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("ip -batch: %v\n%s%s", err, out, commands)
	}
}

// Need skips the test where a program is missing, or fails it where CI=true.
func Need(t *testing.T, programs ...string) {
	t.Helper()
	for _, p := range programs {
		if _, err := exec.LookPath(p); err != nil {
			unable(t, "needs "+p)
		}
	}
}

// FullBridge makes a bridge called br0 with as many taps as its ports, vnet0 and on.
func FullBridge(t *testing.T, taps int) {
	t.Helper()
	var batch strings.Builder
	batch.WriteString("link add br0 type bridge\n")
	for i := range taps {
		fmt.Fprintf(&batch, "tuntap add vnet%d mode tap\nlink set vnet%d master br0\n", i, i)
	}
	IP(t, batch.String())
}

func mount(t *testing.T, fstype, dir string) {
	t.Helper()
	if err := syscall.Mount(fstype, dir, fstype, 0, ""); err != nil {
		t.Fatalf("mount %s on %s: %v", fstype, dir, err)
	}
}

func unable(t *testing.T, why string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(why)
	}
	t.Skip(why)
}

// only is the -test.run pattern of the one test called name.
func only(name string) string {
	parts := strings.Split(name, "/")
	for i, p := range parts {
		parts[i] = "^" + regexp.QuoteMeta(p) + "$"
	}
	return strings.Join(parts, "/")
}

// verdict is PASS, FAIL or SKIP as the verbose output says of the test called
// name, empty where it says nothing.
func verdict(out, name string) string {
	m := regexp.MustCompile(`(?m)^ *--- (\w+): ` + regexp.QuoteMeta(name) + ` \(`).FindStringSubmatch(out)
	if m == nil {
		return ""
	}
	return m[1]
}
