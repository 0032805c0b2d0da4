package hookdir

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"virt-mtu/internal/state"
	"virt-mtu/test/netns"
)

// pretend, in the environment, makes this program one that locks the pid file it
// names, as a daemon does.
const pretend = "HOOKDIR_TEST_PRETEND"

func TestMain(m *testing.M) {
	if file := os.Getenv(pretend); file != "" {
		hup := make(chan os.Signal, 1)
		signal.Notify(hup, syscall.SIGHUP)
		f, err := os.Create(file)
		if err == nil {
			err = unix.FcntlFlock(f.Fd(), unix.F_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Len: 1})
		}
		fmt.Println("locked:", err)
		select {
		case <-hup:
			fmt.Println("reloaded")
		case <-time.After(10 * time.Second):
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// daemon starts exe with a lock on /run/NAME.pid, and returns what it says.
func daemon(t *testing.T, exe, name string) (pid int, out *bufio.Scanner) {
	t.Helper()
	cmd := exec.Command(exe)
	cmd.Env = append(os.Environ(), pretend+"=/run/"+name+".pid")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	pipe, err := cmd.StdoutPipe()
	must(t, err)
	must(t, cmd.Start())
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	out = bufio.NewScanner(pipe)
	if !out.Scan() || out.Text() != "locked: <nil>" {
		t.Fatal(out.Text())
	}
	return cmd.Process.Pid, out
}

func TestDaemons(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		find := func() []Daemon {
			t.Helper()
			daemons, err := Daemons()
			must(t, err)
			return daemons
		}
		if got := find(); got != nil {
			t.Errorf("without pid files: %v", got)
		}
		// A daemon that was killed leaves its file, and its pid goes to somebody else.
		must(t, os.WriteFile("/run/virtqemud.pid", fmt.Append(nil, os.Getpid()), 0o644))
		if got := find(); got != nil {
			t.Errorf("a stale pid file: %v", got)
		}

		exe := filepath.Join(t.TempDir(), "libvirtd")
		must(t, copyFile("/proc/self/exe", exe))
		pid, out := daemon(t, exe, "libvirtd")
		got := find()
		if len(got) != 1 || got[0].PID != pid || got[0].Name != "libvirtd" {
			t.Fatalf("found %v, want pid %d", got, pid)
		}
		d := got[0]
		start, err := d.started()
		must(t, err)
		if age := time.Since(start); age < 0 || age > time.Minute {
			t.Errorf("started %v ago", age)
		}
		later := d
		later.Ticks++
		must(t, later.Reload()) // gone, and its pid is another's: nobody is told
		must(t, d.Reload())
		if !out.Scan() || out.Text() != "reloaded" {
			t.Errorf("it says %q", out.Text())
		}
	})
}

// Whatever holds the lock: no other program is sent a signal.
func TestReloadRefuses(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		self, err := os.Executable()
		must(t, err)
		pid, _ := daemon(t, self, "libvirtd")
		daemons, err := Daemons()
		must(t, err)
		if len(daemons) != 1 || daemons[0].PID != pid {
			t.Fatal(daemons)
		}
		if err := daemons[0].Reload(); !errors.Is(err, ErrNotReloaded) {
			t.Error(err)
		}
	})
}

func TestCatches(t *testing.T) {
	for status, want := range map[string]bool{
		"Name:\tx\nSigCgt:\t0000000100004007\n": true, // libvirtd's
		"SigCgt:\t0000000100004006\n":           false,
		"SigIgn:\t0000000000000001\n":           false,
		"SigCgt:\tx\n":                          false,
	} {
		if got := catches([]byte(status), syscall.SIGHUP); got != want {
			t.Errorf("%q: %v", status, got)
		}
	}
}

func TestNote(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		must(t, Forget())
		want := []Daemon{{"virtqemud", 12, 345}, {"libvirtd", 1 << 22, 1 << 40}}
		must(t, Note(want))
		if diff := cmp.Diff(want, noted()); diff != "" {
			t.Error(diff)
		}
		must(t, Note(want[:1]))
		if diff := cmp.Diff(want[:1], noted()); diff != "" {
			t.Error(diff)
		}
		file := filepath.Join(state.DefaultBase, noteName)
		must(t, os.Chown(file, 1, 1))
		if got := noted(); got != nil {
			t.Errorf("another user's note counts: %v", got)
		}
		must(t, os.Remove(file))
		must(t, os.WriteFile("/run/elsewhere", []byte("libvirtd 1 1\n"), 0o600))
		must(t, os.Symlink("/run/elsewhere", file))
		if got := noted(); got != nil {
			t.Errorf("a link is followed: %v", got)
		}
		if err := Note(want); err == nil {
			t.Error("a link is written through")
		}
		must(t, Forget())
	})
}

// A daemon looks at its start: what was there before is loaded, a link that came
// later is not, however old the file it leads to.
func TestLoaded(t *testing.T) {
	netns.Run(t, func(t *testing.T) {
		d := Dir(t.TempDir())
		must(t, os.Mkdir(d.Folder(), 0o755))
		old := filepath.Join(string(d), "old")
		must(t, os.WriteFile(old, []byte("#!/bin/sh\n"), 0o755))
		time.Sleep(50 * time.Millisecond)
		exe := filepath.Join(t.TempDir(), "libvirtd")
		must(t, copyFile("/proc/self/exe", exe))
		daemon(t, exe, "libvirtd")
		daemons, err := Daemons()
		must(t, err)
		is := func(when string, want bool) {
			t.Helper()
			got, err := d.Loaded(daemons[0])
			if got != want || err != nil {
				t.Errorf("%s: %v, %v", when, got, err)
			}
		}
		is("no hook", false)
		time.Sleep(50 * time.Millisecond)
		must(t, os.Symlink(old, d.Hook()))
		is("a later link", false)
		must(t, Note(daemons))
		is("noted", true)
		must(t, Note([]Daemon{{daemons[0].Name, daemons[0].PID, daemons[0].Ticks + 1}}))
		is("noted of another process", false)
		must(t, Forget())
		must(t, os.Rename(old, filepath.Join(string(d), "qemu"))) // ctime is now
		is("a later hook", false)
		time.Sleep(50 * time.Millisecond) // a start time is good to 10 ms
		daemon2, _ := daemon(t, exe, "virtqemud")
		daemons, err = Daemons()
		must(t, err)
		if daemons[0].PID != daemon2 {
			t.Fatal(daemons)
		}
		is("a hook from before", true)
	})
}
