package netns

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestIntegrationRun(t *testing.T) {
	Run(t, func(t *testing.T) {
		IP(t, "link add br0 type bridge; link add v0 type veth peer name v1\nlink set v0 master br0")
		for dir, want := range map[string][]string{
			"/sys/class/net":          {"br0", "lo", "v0", "v1"},
			"/sys/class/net/br0/brif": {"v0"},
			"/run":                    nil,
		} {
			if diff := cmp.Diff(want, names(t, dir)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", dir, diff)
			}
		}
		t.Run("sub test", func(t *testing.T) { // shares its parent's namespace
			if _, err := os.Stat("/sys/class/net/br0"); err != nil {
				t.Error(err)
			}
		})
	})
	if _, err := os.Stat("/sys/class/net/br0"); err == nil && os.Getenv(inside) == "" {
		t.Error("the bridge is outside of its namespace too")
	}
}

func TestIntegrationRunInSubtest(t *testing.T) {
	t.Run("a (b)", func(t *testing.T) {
		Run(t, func(t *testing.T) { IP(t, "link add br0 type bridge") })
	})
}

// What fails or skips in the namespace has to do so outside of it. Run for real, by
// this very binary, since a test that is meant to fail cannot stand among the others.
func TestIntegrationReports(t *testing.T) {
	if os.Geteuid() != 0 {
		unable(t, "needs root for namespaces of its own")
	}
	for _, tt := range []struct{ mode, want string }{
		{"fail", "--- FAIL: TestHelperReports"},
		{"ip", "Unknown device type"},
		{"skip", "--- SKIP: TestHelperReports"},
		{"need", "needs nosuchprogram"},
		{"exit", "--- FAIL: TestHelperReports"},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			cmd := exec.Command("/proc/self/exe", "-test.v", "-test.run=^TestHelperReports$")
			cmd.Env = append(os.Environ(), "NETNS_HELPER="+tt.mode, "CI=")
			out, err := cmd.CombinedOutput()
			if !strings.Contains(string(out), tt.want) {
				t.Errorf("no %q in:\n%s", tt.want, out)
			}
			if failed := err != nil; failed != (tt.mode != "skip" && tt.mode != "need") {
				t.Errorf("exit: %v", err)
			}
		})
	}
}

func TestIntegrationDiesWithItsParent(t *testing.T) {
	if os.Geteuid() != 0 {
		unable(t, "needs root for namespaces of its own")
	}
	pidFile := filepath.Join(t.TempDir(), "pid")
	cmd := exec.Command("/proc/self/exe", "-test.run=^TestHelperReports$")
	cmd.Env = append(os.Environ(), "NETNS_HELPER=hang", "NETNS_PID_FILE="+pidFile)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pid int
	wait(t, "the process in the namespace", func() bool {
		b, _ := os.ReadFile(pidFile)
		pid, _ = strconv.Atoi(string(b))
		return pid > 0
	})
	cmd.Process.Kill()
	cmd.Wait()
	wait(t, "its end", func() bool { // a zombie is dead: who reaps it is not our business
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		return err != nil || strings.Contains(string(b), ") Z ")
	})
}

func TestHelperReports(t *testing.T) {
	mode := os.Getenv("NETNS_HELPER")
	if mode == "" {
		t.Skip("is run by TestIntegrationReports")
	}
	Run(t, func(t *testing.T) {
		switch mode {
		case "fail":
			t.Error("as asked")
		case "skip":
			t.Skip("as asked")
		case "need":
			Need(t, "ip", "nosuchprogram")
		case "ip":
			IP(t, "link add x type nosuchkind")
		case "exit":
			os.Exit(0)
		case "hang":
			pid := strconv.Itoa(os.Getpid())
			if err := os.WriteFile(os.Getenv("NETNS_PID_FILE"), []byte(pid), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
		}
	})
}

func wait(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
