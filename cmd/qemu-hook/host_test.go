package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"

	"virt-mtu/test/netns"
)

// hookBinary names the built hook, for the processes in namespaces too.
const hookBinary = "VIRT_MTU_TEST_HOOK"

func TestMain(m *testing.M) { os.Exit(testMain(m)) }

func testMain(m *testing.M) int {
	if os.Getenv(hookBinary) == "" && os.Geteuid() == 0 {
		dir, err := os.MkdirTemp("", "qemu-hook")
		if err == nil {
			defer os.RemoveAll(dir)
			err = os.Chmod(dir, 0o755) // one test runs it as somebody else
		}
		if err == nil {
			err = build(dir + "/qemu-hook")
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	}
	if len(os.Args) == 0 {
		main() // never, but linked so: go test's cache does not go by what a test builds
	}
	return m.Run()
}

func build(file string) error {
	out, err := exec.Command("go", "build", "-buildvcs=false", "-o", file, ".").CombinedOutput()
	if err != nil {
		return fmt.Errorf("build the hook: %w\n%s", err, out)
	}
	return os.Setenv(hookBinary, file)
}

// host is a host of the test's own, with the real hook on it: network, /run, /dev
// and /etc belong to it, and its syslog socket is read by the test.
type host struct {
	log *net.UnixConn
}

// onHost runs a test on a host of its own.
func onHost(t *testing.T, body func(*testing.T, *host)) {
	t.Parallel() // each is a process with namespaces of its own
	netns.Run(t, func(t *testing.T) {
		cover(t, "/dev", "log")
		cover(t, "/etc", "virt-mtu", "libvirt")
		// How many lines wait in a socket that nobody reads: 10 unless set.
		write(t, "/proc/sys/net/unix/max_dgram_qlen", "512")
		h := &host{}
		h.listen(t)
		body(t, h)
	})
}

// cover puts a tmpfs over a folder, with links to all that was there but for some.
// What is below it is kept in /run, which goes with the namespace.
func cover(t *testing.T, dir string, but ...string) {
	t.Helper()
	kept := "/run/.covered" + dir
	must(t, os.MkdirAll(kept, 0o755))
	must(t, syscall.Mount(dir, kept, "", syscall.MS_BIND|syscall.MS_REC, ""))
	must(t, syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0755"))
	entries, err := os.ReadDir(kept)
	must(t, err)
next:
	for _, e := range entries {
		for _, b := range but {
			if e.Name() == b {
				continue next
			}
		}
		must(t, os.Symlink(kept+"/"+e.Name(), dir+"/"+e.Name()))
	}
}

func (h *host) listen(t *testing.T) {
	t.Helper()
	var err error
	h.log, err = net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	must(t, err)
}

// reset makes the host as it was at first: no links, no config, no state, and
// nothing in the log.
func (h *host) reset(t *testing.T) {
	t.Helper()
	var del strings.Builder
	for _, name := range links(t) {
		if name != "lo" && !strings.HasPrefix(name, "wire") { // a wire goes with its uplink
			fmt.Fprintf(&del, "link del %s\n", name)
		}
	}
	netns.IP(t, del.String())
	for _, dir := range []string{state.DefaultBase, "/run/libvirt", "/etc/libvirt", filepath.Dir(policy.DefaultPath)} {
		must(t, os.RemoveAll(dir))
	}
	h.lines(t)
}

// result is what one run of the hook came to.
type result struct {
	status         int
	stdout, stderr string
	log            []string // without the header, see header
	took           time.Duration
}

// run runs the hook as libvirt does, on the XML.
func (h *host) run(t *testing.T, xml string, args ...string) result {
	t.Helper()
	return h.runCmd(t, hookCmd(strings.NewReader(xml), args...))
}

// hookCmd is the hook's command line with libvirt's environment.
func hookCmd(stdin io.Reader, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Getenv(hookBinary), args...)
	cmd.Env = []string{"LC_ALL=C", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"}
	cmd.Stdin = stdin
	return cmd
}

// runCmd keeps the streams that a test has set itself.
func (h *host) runCmd(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	r := start(t, cmd)
	r.log = h.lines(t)
	return r
}

// start runs the hook to its end and leaves the log alone.
func start(t *testing.T, cmd *exec.Cmd) result {
	t.Helper()
	var stdout, stderr bytes.Buffer
	if cmd.Stdout == nil {
		cmd.Stdout = &stdout
	}
	if cmd.Stderr == nil {
		cmd.Stderr = &stderr
	}
	cmd.WaitDelay = 100 * time.Millisecond // a stdin without an end
	begin := time.Now()
	err := cmd.Run()
	took := time.Since(begin)
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) {
		t.Errorf("run the hook: %v", err)
		return result{status: -1}
	}
	if s := stderr.String(); strings.Contains(s, "goroutine ") {
		t.Errorf("a panic or a race in the hook:\n%s", s)
	}
	return result{status: cmd.ProcessState.ExitCode(), stdout: stdout.String(), stderr: stderr.String(), took: took}
}

// header is RFC 3164's, as every syslog daemon reads it.
var header = regexp.MustCompile(`^<\d{1,3}>[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d virt-mtu-hook\[\d+\]: `)

// lines takes what stands in the log.
func (h *host) lines(t *testing.T) []string {
	t.Helper()
	conn, err := h.log.SyscallConn()
	must(t, err)
	var lines []string
	for buf := make([]byte, 1<<16); ; {
		// The hook has ended: what it said is there. A read deadline could pass before
		// the read was tried.
		n, got := 0, error(nil)
		must(t, conn.Read(func(fd uintptr) bool {
			n, _, got = unix.Recvfrom(int(fd), buf, unix.MSG_DONTWAIT)
			return true
		}))
		if got == unix.EAGAIN {
			return lines
		}
		must(t, got)
		line := string(buf[:n])
		end := header.FindString(line)
		if end == "" {
			t.Errorf("the log line has no header: %q", line)
		}
		lines = append(lines, line[len(end):])
	}
}

// wantLog checks that one log line, and no more, holds all of the words.
func (r result) wantLog(t *testing.T, words ...string) {
	t.Helper()
	if len(r.log) != 1 {
		t.Errorf("%d log lines, not 1: %q", len(r.log), r.log)
		return
	}
	for _, w := range words {
		if !strings.Contains(r.log[0], w) {
			t.Errorf("the log line does not say %q: %q", w, r.log[0])
		}
	}
}

// wantRefusal checks that the hook refuses and tells virsh why and what to do.
func (r result) wantRefusal(t *testing.T, reason, hint string) {
	t.Helper()
	lines := strings.Split(r.stderr, "\n")
	if r.status != 1 || r.stdout != "" || len(lines) != 3 || lines[2] != "" ||
		!strings.HasPrefix(lines[0], "virt-mtu: ") || !strings.Contains(lines[0], reason) ||
		!strings.HasPrefix(lines[1], "hint: ") || !strings.Contains(lines[1], hint) {
		t.Errorf("exit %d, stdout %q, stderr:\n%s\nwanted: a refusal for %q with the hint %q", r.status, r.stdout, r.stderr, reason, hint)
	}
	if len(r.log) == 0 || !strings.Contains(strings.Join(r.log, "\n"), reason) {
		t.Errorf("not in the log: %q in %q", reason, r.log)
	}
}

// wantQuiet checks that the hook lets libvirt go on and gives it nothing to read.
func (r result) wantQuiet(t *testing.T) {
	t.Helper()
	if r.status != 0 || r.stdout != "" || r.stderr != "" {
		t.Errorf("exit %d, stdout %q, stderr %q", r.status, r.stdout, r.stderr)
	}
}

func links(t *testing.T) []string {
	t.Helper()
	entries, err := os.ReadDir("/sys/class/net")
	must(t, err)
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// mtus is the MTU of every link, in bytes of IP packet.
func mtus(t *testing.T) map[string]int {
	t.Helper()
	m := map[string]int{}
	for _, name := range links(t) {
		var n int
		_, err := fmt.Sscan(read(t, "/sys/class/net/"+name+"/mtu"), &n)
		must(t, err)
		m[name] = n
	}
	return m
}

func wantMTU(t *testing.T, link string, want int) {
	t.Helper()
	if got := mtus(t)[link]; got != want {
		t.Errorf("%s has mtu %d, want %d", link, got, want)
	}
}

// config writes the config file.
func config(t *testing.T, text string) {
	t.Helper()
	must(t, os.MkdirAll(filepath.Dir(policy.DefaultPath), 0o755))
	write(t, policy.DefaultPath, text)
}

// queued is the note with which the domain waits for fix, empty where it does not.
func queued(t *testing.T) string {
	t.Helper()
	entries, err := os.ReadDir(state.DefaultBase + "/queue")
	if errors.Is(err, os.ErrNotExist) || err == nil && len(entries) == 0 {
		return ""
	}
	must(t, err)
	if len(entries) != 1 || entries[0].Name() != uuid {
		t.Errorf("in the queue: %v", entries)
	}
	return read(t, state.DefaultBase+"/queue/"+uuid)
}

const markFile = state.DefaultBase + "/incoming/" + uuid

// mark marks the guest as one that came in from elsewhere, some time ago.
func (h *host) mark(t *testing.T, xml string, ago time.Duration) {
	t.Helper()
	h.run(t, xml, "web1", "restore", "begin", "-").wantQuiet(t)
	when := time.Now().Add(-ago)
	must(t, os.Chtimes(markFile, when, when))
}

func marked(t *testing.T) bool {
	t.Helper()
	_, err := os.Lstat(markFile)
	if err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTDIR) {
		t.Error(err)
	}
	return err == nil
}

func write(t *testing.T, file, text string) {
	t.Helper()
	must(t, os.WriteFile(file, []byte(text), 0o600))
}

func read(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(file)
	must(t, err)
	return string(b)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
