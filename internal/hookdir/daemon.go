package hookdir

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// daemonNames are the libvirt daemons that run qemu hooks: the modular one and the
// monolithic one.
var daemonNames = []string{"virtqemud", "libvirtd"}

// pidDirs are where they keep their pid files (RUNSTATEDIR). Mostly the same folder.
var pidDirs = []string{"/run", "/var/run"}

// Daemon is a running libvirt daemon.
type Daemon struct {
	Name  string
	PID   int
	Ticks uint64 // start, in clock ticks since boot: with PID it names one process
}

func (d Daemon) String() string { return fmt.Sprintf("%s (pid %d)", d.Name, d.PID) }

// Daemons are this host's running libvirt daemons. A pid file is taken for no more
// than a lock: libvirt holds one on it as long as it runs (virPidFileAcquirePath),
// and the kernel says who does. A daemon that was started with another --pid-file is
// not seen.
func Daemons() ([]Daemon, error) {
	var found []Daemon
	for _, name := range daemonNames {
		for _, dir := range pidDirs {
			pid, err := lockHolder(filepath.Join(dir, name+".pid"))
			if err != nil {
				return nil, err
			}
			if pid <= 0 || slices.ContainsFunc(found, func(d Daemon) bool { return d.PID == pid }) {
				continue
			}
			d := Daemon{Name: name, PID: pid}
			if d.Ticks, err = startTicks(pid); errors.Is(err, fs.ErrNotExist) {
				continue // ended meanwhile
			} else if err != nil {
				return nil, err
			}
			found = append(found, d)
		}
	}
	return found, nil
}

// lockHolder returns the process that holds a POSIX lock on the file, 0 for none, or
// none that this pid namespace can see.
func lockHolder(file string) (int, error) {
	f, err := os.OpenFile(file, os.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer f.Close()
	lock := unix.Flock_t{Type: unix.F_RDLCK}
	if err := unix.FcntlFlock(f.Fd(), unix.F_GETLK, &lock); err != nil {
		return 0, fmt.Errorf("ask who locks %q: %w", file, err)
	}
	if lock.Type == unix.F_UNLCK {
		return 0, nil
	}
	return int(lock.Pid), nil
}

// startTicks reads a process's start time: field 22 of its stat, proc(5).
func startTicks(pid int) (uint64, error) {
	file := fmt.Sprintf("/proc/%d/stat", pid)
	raw, err := os.ReadFile(file)
	if err != nil {
		return 0, err
	}
	// Field 2, the name, may hold anything; the last parenthesis ends it.
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')')+1:])
	if len(fields) < 20 {
		return 0, fmt.Errorf("read %s: no field 22", file)
	}
	ticks, err := strconv.ParseUint(string(fields[19]), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("read %s: field 22: %w", file, err)
	}
	return ticks, nil
}

// tick is proc(5)'s unit: USER_HZ is 100 wherever Go runs on Linux.
const tick = 10 * time.Millisecond

// started is when the daemon started, on today's wall clock: file times are on that.
func (d Daemon) started() (time.Time, error) {
	var boot unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &boot); err != nil {
		return time.Time{}, fmt.Errorf("read boot clock: %w", err)
	}
	age := time.Duration(boot.Nano()) - time.Duration(d.Ticks)*tick
	return time.Now().Add(-age), nil
}

// ErrNotReloaded: the daemon was not told to reload.
var ErrNotReloaded = errors.New("not told to reload")

// Reload tells the daemon to look for hooks again. It looks within milliseconds, and
// nobody says when it has. Nothing is sent to a process that is not that daemon, or
// would die of it. A daemon that has ended is no error.
func (d Daemon) Reload() error {
	p, err := os.FindProcess(d.PID) // a handle, not a number, where the kernel has pidfds
	if err != nil {
		return fmt.Errorf("reload %v: %w", d, err)
	}
	defer p.Release()
	switch err := d.verify(); {
	case errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH):
		return nil
	case err != nil:
		return fmt.Errorf("%v %w: %w", d, ErrNotReloaded, err)
	}
	if err := p.Signal(syscall.SIGHUP); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("reload %v: %w", d, err)
	}
	return nil
}

// verify holds where the process is root's, the same as before, that program, and
// ready for SIGHUP, which it is not in its first moments.
func (d Daemon) verify() error {
	proc := fmt.Sprintf("/proc/%d", d.PID)
	ticks, err := startTicks(d.PID)
	if err != nil {
		return err
	}
	if ticks != d.Ticks {
		return fs.ErrNotExist
	}
	info, err := os.Stat(proc)
	if err != nil {
		return err
	}
	if uid := info.Sys().(*syscall.Stat_t).Uid; uid != 0 {
		return fmt.Errorf("it runs as user %d", uid)
	}
	exe, err := os.Readlink(proc + "/exe")
	if err != nil {
		return err
	}
	// The kernel says so of a program that was upgraded while it runs.
	exe = strings.TrimSuffix(exe, " (deleted)")
	if filepath.Base(exe) != d.Name {
		return fmt.Errorf("the process is %q", exe)
	}
	status, err := os.ReadFile(proc + "/status")
	if err != nil {
		return err
	}
	if !catches(status, syscall.SIGHUP) {
		return errors.New("it is not ready yet")
	}
	return nil
}

// catches reports whether a process handles a signal: SigCgt in its status, proc(5).
func catches(status []byte, sig syscall.Signal) bool {
	for line := range strings.Lines(string(status)) {
		if mask, ok := strings.CutPrefix(line, "SigCgt:"); ok {
			bits, err := strconv.ParseUint(strings.TrimSpace(mask), 16, 64)
			return err == nil && bits&(1<<(sig-1)) != 0
		}
	}
	return false
}
