// Package machine is what throw-away machines of every kind have in common for a test: a
// script makes and ends them, commands run in them, and their files can be seen.
package machine

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long one command may take, beyond what the test itself may.
const patience = 2 * time.Minute

// Script is the path of one that makes machines.
type Script string

// Find finds a script by its path from the module's root, from wherever below that a test
// runs.
func Find(t testing.TB, path string) Script {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		found := filepath.Join(dir, path)
		if _, err := os.Stat(found); err == nil {
			return Script(found)
		}
	}
	t.Fatalf("no %s above the working directory", path)
	return ""
}

// Exec runs one of the script's verbs.
func (s Script) Exec(t testing.TB, args ...string) Result {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, string(s), args...)
	cmd.WaitDelay = time.Second
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil && cmd.ProcessState == nil {
		t.Fatalf("%s %s: %v", filepath.Base(string(s)), strings.Join(args, " "), err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Verb runs one of the script's verbs, which has to succeed, and returns its stdout.
func (s Script) Verb(t testing.TB, args ...string) string {
	t.Helper()
	r := s.Exec(t, args...)
	if r.Exit != 0 {
		t.Fatalf("%s %s: exit %d\n%s%s", filepath.Base(string(s)), strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Machine is one machine. Its methods fail the test where what they do fails; those that
// are asked whether something holds say so instead.
type Machine struct {
	Script
	Name string
	root string // its file system, as seen from here
}

// Up brings up a machine by "SCRIPT up NAME ARGS... OWNER-PID" that is gone, by "SCRIPT
// down NAME", when the test is. The script also has to know "on NAME CMD...", "pid NAME"
// and "wire A DEV-A B DEV-B".
func Up(t testing.TB, script string, args ...string) Machine {
	t.Helper()
	m := Machine{Script: Find(t, script), Name: fmt.Sprintf("test-%d-%06x", os.Getpid(), rand.IntN(1<<24))}
	t.Cleanup(func() { m.Verb(t, "down", m.Name) }) // however far it came
	m.Verb(t, slices.Concat([]string{"up", m.Name}, args, []string{strconv.Itoa(os.Getpid())})...)
	m.root = filepath.Join("/proc", m.PID(t), "root")
	return m
}

// Need skips the test where it says what is missing here; on CI (CI=true) it fails.
func Need(t testing.TB, missing string) {
	t.Helper()
	if missing == "" {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

// Missing says which of these programs this machine lacks, or that one has to be root;
// empty: nothing. What is what they are needed for.
func Missing(what string, tools ...string) string {
	if os.Geteuid() != 0 {
		return what + " must be run by root"
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			return what + " needs " + tool + ": see hack/packages.txt"
		}
	}
	return ""
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Exit           int // -1: not by itself
}

// Try runs a command in the machine.
func (m Machine) Try(t testing.TB, args ...string) Result {
	t.Helper()
	return m.Exec(t, slices.Concat([]string{"on", m.Name}, args)...)
}

// Run runs a command in the machine that has to succeed, and returns its stdout.
func (m Machine) Run(t testing.TB, args ...string) string {
	t.Helper()
	r := m.Try(t, args...)
	if r.Exit != 0 {
		t.Fatalf("%s: exit %d\n%s%s", strings.Join(args, " "), r.Exit, r.Stdout, r.Stderr)
	}
	return r.Stdout
}

// Command is a command in the machine that is not yet started: for what has to run while
// something else happens, or reads stdin. Killing it does not reach what it started in
// the machine; that ends with the machine.
func (m Machine) Command(args ...string) *exec.Cmd {
	return exec.Command(string(m.Script), slices.Concat([]string{"on", m.Name}, args)...)
}

// PID of its process 1, as seen from here.
func (m Machine) PID(t testing.TB) string {
	t.Helper()
	return strings.TrimSpace(m.Verb(t, "pid", m.Name))
}

// Wire lays a cable from dev of this machine to otherDev of the other, of the same kind.
func (m Machine) Wire(t testing.TB, dev string, other Machine, otherDev string) {
	t.Helper()
	m.Verb(t, "wire", m.Name, dev, other.Name, otherDev)
}

// MTU of a link of the machine.
func (m Machine) MTU(t testing.TB, dev string) int {
	t.Helper()
	n, err := strconv.Atoi(strings.TrimSpace(m.Run(t, "cat", "/sys/class/net/"+dev+"/mtu")))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// Path is where a path of the machine is seen from outside. Links in it are not the
// machine's.
func (m Machine) Path(path string) string { return filepath.Join(m.root, path) }

// Exists reports whether the machine has that file.
func (m Machine) Exists(path string) bool {
	_, err := os.Lstat(m.Path(path))
	return err == nil
}

// ReadFile reads a file of the machine.
func (m Machine) ReadFile(t testing.TB, path string) string {
	t.Helper()
	b, err := os.ReadFile(m.Path(path))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// WriteFile writes a file of the machine, and the folders above it.
func (m Machine) WriteFile(t testing.TB, path, text string, mode os.FileMode) {
	t.Helper()
	path = m.Path(path)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
	// The mode of a file that was there, and the umask.
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}
