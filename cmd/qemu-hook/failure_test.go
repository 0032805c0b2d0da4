package main

import (
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/policy"
	"virt-mtu/internal/state"
	"virt-mtu/test/netns"
)

// A call ends two seconds after its start; slow is that with some patience for the
// machine that the test runs on.
const (
	deadline = 2 * time.Second
	slow     = deadline + 10*time.Second
)

// Whatever it waits for, libvirt waits two seconds for the hook and no more.
func TestIntegrationDeadline(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		config(t, "pin_bridges = true")
		padded := domain(nic{}) + "<!--" + strings.Repeat("x", 1<<20) + "-->"
		held, err := os.OpenFile("/sys/class/net/br0/bridge/flush", os.O_WRONLY, 0)
		must(t, err)
		defer held.Close()
		must(t, syscall.Flock(int(held.Fd()), syscall.LOCK_EX))
		silent, keepOpen, err := os.Pipe()
		must(t, err)
		defer silent.Close()
		defer keepOpen.Close()
		drip, trickle := io.Pipe()
		defer drip.Close()
		go func() { // until the hook has gone
			for {
				if _, err := trickle.Write([]byte("<!-- x -->")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		}()
		unread, full, err := os.Pipe()
		must(t, err)
		defer unread.Close()
		defer full.Close()
		stuck := hookCmd(strings.NewReader(strings.ReplaceAll(padded, "br0", "br9")), "web1", "prepare", "begin", "-")
		stuck.Stdout = full
		cases := map[string]*exec.Cmd{
			"stdin that says nothing":    hookCmd(silent, "web1", "prepare", "begin", "-"),
			"stdin that never ends":      hookCmd(drip, "web1", "reconnect", "begin", "-"),
			"stdout that nobody reads":   stuck,
			"a bridge that another pins": hookCmd(strings.NewReader(domain(nic{})), "web1", "prepare", "begin", "-"),
		}
		var all sync.WaitGroup
		for name, cmd := range cases {
			all.Add(1)
			go func() {
				defer all.Done()
				r := start(t, cmd)
				if r.status != 0 || r.stdout != "" || r.stderr != "" || r.took < deadline || r.took > slow {
					t.Errorf("%s: exit %d after %v, stdout %q, stderr %q", name, r.status, r.took, r.stdout, r.stderr)
				}
			}()
		}
		all.Wait()
		lines := h.lines(t)
		for _, line := range lines {
			if !strings.HasPrefix(line, `domain "web1": `) || !strings.Contains(line, "gave up after 2s") {
				t.Errorf("log line %q", line)
			}
		}
		if len(lines) != len(cases) {
			t.Errorf("%d lines, want %d: %q", len(lines), len(cases), lines)
		}
	})
}

// Streams that are closed, or whose other end is: it lives on, and what it had to
// say to libvirt by its exit status it says.
func TestIntegrationStreams(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		shell := func(redirect, xml string, args ...string) *exec.Cmd {
			cmd := hookCmd(strings.NewReader(xml), args...)
			cmd.Args = append([]string{"sh", "-c", `exec "$0" "$@" ` + redirect, cmd.Path}, args...)
			cmd.Path = "/bin/sh"
			return cmd
		}
		broken := func() *os.File {
			r, w, err := os.Pipe()
			must(t, err)
			r.Close()
			t.Cleanup(func() { w.Close() })
			return w
		}
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		must(t, err)
		defer full.Close()
		onto := func(stdout, stderr *os.File, xml string, args ...string) *exec.Cmd {
			cmd := hookCmd(strings.NewReader(xml), args...)
			if stdout != nil {
				cmd.Stdout = stdout
			}
			if stderr != nil {
				cmd.Stderr = stderr
			}
			return cmd
		}
		prepare, begin := []string{"web1", "prepare", "begin", "-"}, []string{"web1", "start", "begin", "-"}
		for name, tt := range map[string]struct {
			cmd    *exec.Cmd
			status int
			raised bool
			log    string // empty: none
		}{
			"stdin closed":                 {cmd: shell("<&-", fine, begin...), log: "nothing done"},
			"stdin is a folder":            {cmd: shell("</", fine, begin...), log: "nothing done"},
			"stdout closed":                {cmd: shell(">&-", fine, prepare...)},
			"stdout broken":                {cmd: onto(broken(), nil, fine, prepare...), log: "broken pipe"},
			"stdout full":                  {cmd: onto(full, nil, fine, prepare...), log: "no space left"},
			"stderr closed, refused":       {cmd: shell("2>&-", cannot, prepare...), status: 1, log: "refused"},
			"stderr broken, refused":       {cmd: onto(nil, broken(), cannot, prepare...), status: 1, log: "refused"},
			"all closed":                   {cmd: shell("<&- >&- 2>&-", fine, begin...), log: "nothing done"},
			"both broken, nothing to say":  {cmd: onto(broken(), broken(), fine, "web1", "started", "begin", "-"), raised: true, log: "mtu 1500 -> 9000"},
			"both broken, a guest killer?": {cmd: onto(broken(), broken(), cannot, "web1", "reconnect", "begin", "-"), raised: true, log: "mtu 1500 -> 9000"},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo)
				r := h.runCmd(t, tt.cmd)
				if r.status != tt.status || r.stdout != "" {
					t.Errorf("exit %d, stdout %q", r.status, r.stdout)
				}
				if tt.log != "" {
					r.wantLog(t, tt.log)
				}
				if raised := mtus(t)["vnet0"] == 9000; raised != tt.raised {
					t.Errorf("tap raised: %v", raised)
				}
			})
		}
	})
}

// Without a log it does its work all the same, and waits for nobody.
func TestIntegrationNoLog(t *testing.T) {
	const socket = "/dev/log"
	onHost(t, func(t *testing.T, h *host) {
		for name, arrange := range map[string]func(t *testing.T){
			"missing":  func(t *testing.T) {},
			"a folder": func(t *testing.T) { must(t, os.Mkdir(socket, 0o755)) },
			"a file":   func(t *testing.T) { write(t, socket, "") },
			"a link to itself": func(t *testing.T) {
				must(t, os.Symlink(socket, socket))
			},
			"a FIFO": func(t *testing.T) { must(t, syscall.Mkfifo(socket, 0o600)) },
			"nobody at the other end": func(t *testing.T) {
				l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
				must(t, err)
				l.Close() // leaves the file
			},
			"a stream": func(t *testing.T) {
				l, err := net.Listen("unix", socket)
				must(t, err)
				t.Cleanup(func() { l.Close() })
			},
			"full": func(t *testing.T) {
				l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
				must(t, err)
				t.Cleanup(func() { l.Close() })
				to, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
				must(t, err)
				t.Cleanup(func() { to.Close() })
				must(t, to.SetWriteDeadline(time.Now().Add(50*time.Millisecond)))
				for err == nil {
					_, err = to.Write([]byte("x"))
				}
			},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo)
				must(t, os.RemoveAll(socket))
				arrange(t)
				r := start(t, hookCmd(strings.NewReader(fine), "web1", "start", "begin", "-"))
				r.wantQuiet(t)
				wantMTU(t, "vnet0", 9000)
				if queued(t) == "" {
					t.Error("not queued")
				}
				refused := start(t, hookCmd(strings.NewReader(cannot), "web1", "prepare", "begin", "-"))
				if refused.status != 1 {
					t.Errorf("exit %d", refused.status)
				}
				if took := max(r.took, refused.took); took >= deadline {
					t.Errorf("took %v", took)
				}
			})
		}
	})
}

// Under a config that cannot be read nothing is done: what the admin wants is not
// known. No guest is stopped for it, and what comes in is marked.
func TestIntegrationBadConfig(t *testing.T) {
	link := func(to string) func(t *testing.T) {
		return func(t *testing.T) {
			config(t, "")
			must(t, os.Remove(policy.DefaultPath))
			must(t, os.Symlink(to, policy.DefaultPath))
		}
	}
	text := func(s string) func(t *testing.T) { return func(t *testing.T) { config(t, s) } }
	onHost(t, func(t *testing.T, h *host) {
		for name, arrange := range map[string]func(t *testing.T){
			"no TOML":         text("mtu: 9000"),
			"an unknown key":  text("mtu = 9000\npin_bridge = true"),
			"a wrong value":   text("incapable = 'no'"),
			"mtu 67":          text("mtu = 67"),
			"a rule for none": text("[[rule]]\nmtu = 9000"),
			"binary":          text("\x00\xff"),
			"too large":       text("#" + strings.Repeat("x", 1<<20)),
			"a folder": func(t *testing.T) {
				must(t, os.MkdirAll(policy.DefaultPath, 0o755))
			},
			"its folder is a file": func(t *testing.T) { write(t, "/etc/virt-mtu", "") },
			"not to be read":       link("/proc/self/mem"), // a regular file, says stat, and reading fails
			"without end":          link("/dev/zero"),
			"a terminal":           link("/dev/ptmx"),
			"a link to itself":     link(policy.DefaultPath),
			"a FIFO": func(t *testing.T) {
				config(t, "")
				must(t, os.Remove(policy.DefaultPath))
				must(t, syscall.Mkfifo(policy.DefaultPath, 0o600))
			},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo+"\nlink set up0 mtu 1500")
				arrange(t)
				for _, op := range []string{"prepare", "start", "started", "reconnect", "migrate"} {
					for _, xml := range []string{fine, domain(nic{target: "vnet0", model: "rtl8139", mtu: mtu9000})} {
						r := h.run(t, xml, "web1", op, "begin", "-")
						r.wantQuiet(t)
						r.wantLog(t, op+": nothing done: read config", "/etc/virt-mtu")
						wantPlain(t, r)
						if r.took >= deadline {
							t.Errorf("%s took %v", op, r.took)
						}
					}
				}
				wantMTU(t, "vnet0", 1500)
				if !marked(t) || queued(t) != "" {
					t.Errorf("marked %v, queued %q", marked(t), queued(t))
				}
			})
		}
	})
}

// A state folder that is not root's alone, or not there to be written to, is not
// used. Then nobody knows what came in from elsewhere, so nothing is refused; the
// taps are set all the same.
func TestIntegrationBadState(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		must(t, os.Mkdir("/dev/elsewhere", 0o700))
		own := func(t *testing.T) { must(t, os.MkdirAll(state.DefaultBase, 0o700)) }
		for name, arrange := range map[string]func(t *testing.T){
			"a link":   func(t *testing.T) { must(t, os.Symlink("/dev/elsewhere", state.DefaultBase)) },
			"a file":   func(t *testing.T) { write(t, state.DefaultBase, "") },
			"anyone's": func(t *testing.T) { own(t); must(t, os.Chmod(state.DefaultBase, 0o777)) },
			"another's": func(t *testing.T) {
				own(t)
				must(t, os.Chown(state.DefaultBase, 65534, 65534))
			},
			"a link in it": func(t *testing.T) { own(t); must(t, os.Symlink("/dev/elsewhere", state.DefaultBase+"/queue")) },
			"anyone's run": func(t *testing.T) {
				must(t, os.Chmod("/run", 0o777))
				t.Cleanup(func() { os.Chmod("/run", 0o755) })
			},
			"read-only": func(t *testing.T) {
				must(t, syscall.Mount("", "/run", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
				t.Cleanup(func() { syscall.Mount("", "/run", "", syscall.MS_REMOUNT, "") })
			},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo)
				config(t, "uninjected = 'refuse'")
				arrange(t)
				for _, op := range []string{"prepare begin", "start begin", "started begin", "stopped end", "release end", "migrate begin", "restore begin", "reconnect begin"} {
					op, subop, _ := strings.Cut(op, " ")
					for _, xml := range []string{fine, cannot} {
						netns.IP(t, "link set vnet0 mtu 1500")
						r := h.run(t, xml, "web1", op, subop, "-")
						if r.status != 0 || r.stderr != "" || (r.stdout != "") != (op == "prepare") {
							t.Errorf("%s: exit %d, stdout %q, stderr %q", op, r.status, r.stdout, r.stderr)
						}
						uses := !(op == "reconnect" || op == "prepare" && xml == fine)
						if all := strings.Join(r.log, "\n"); strings.Contains(all, "state folder") != uses {
							t.Errorf("%s: log %q", op, r.log)
						}
						taps := op == "start" || op == "started" || op == "reconnect"
						if raised := mtus(t)["vnet0"] == 9000; raised != taps {
							t.Errorf("%s: tap raised: %v", op, raised)
						}
					}
				}
				if there, err := os.ReadDir("/dev/elsewhere"); err != nil || len(there) > 0 {
					t.Errorf("through the link: %v, %v", there, err)
				}
			})
		}
	})
}

// A state folder that was there before /run became read-only can still be read:
// what came in is known, and the rest refused as ever.
func TestIntegrationReadOnlyState(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		config(t, "uninjected = 'refuse'")
		h.mark(t, fine, 0)
		h.run(t, fine, "web1", "stopped", "end", "-").wantQuiet(t) // takes the mark, leaves the folders
		must(t, syscall.Mount("", "/run", "", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""))
		h.run(t, cannot, "web1", "prepare", "begin", "-").wantRefusal(t, "rtl8139", "virtio")
		r := h.run(t, fine, "web1", "start", "begin", "-") // what cannot be queued is not refused
		r.wantQuiet(t)
		if all := strings.Join(r.log, "\n"); !strings.Contains(all, "read-only file system") || !strings.Contains(all, "mtu 1500 -> 9000") {
			t.Errorf("log %q", r.log)
		}
	})
}

// libvirt's own files as they should not be hold nothing up either.
func TestIntegrationBadNetworkFiles(t *testing.T) {
	const dir, file = "/run/libvirt/network", "/run/libvirt/network/lan.xml"
	onHost(t, func(t *testing.T, h *host) {
		for name, arrange := range map[string]func(t *testing.T){
			"a FIFO":        func(t *testing.T) { must(t, syscall.Mkfifo(file, 0o600)) },
			"a folder":      func(t *testing.T) { must(t, os.Mkdir(file, 0o700)) },
			"without end":   func(t *testing.T) { must(t, os.Symlink("/dev/zero", file)) },
			"nowhere":       func(t *testing.T) { must(t, os.Symlink("/nowhere", file)) },
			"half":          func(t *testing.T) { write(t, file, "<network><name>lan") },
			"a wrong mtu":   func(t *testing.T) { write(t, file, "<network><name>lan</name><mtu size='x'/></network>") },
			"a folder less": func(t *testing.T) { must(t, os.Remove(dir)); write(t, dir, "") },
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo)
				must(t, os.MkdirAll(dir, 0o755))
				arrange(t)
				xml := domain(nic{kind: "network", source: "network='lan'", model: "rtl8139"}, nic{mac: "52:54:00:00:00:02", mtu: mtu9000})
				r := h.run(t, xml, "web1", "prepare", "begin", "-")
				if r.status != 0 || r.stdout != xml || r.stderr != "" || r.took >= deadline {
					t.Errorf("exit %d after %v, stderr %q, stdout:\n%s", r.status, r.took, r.stderr, r.stdout)
				}
				r.wantLog(t, "network")
				// The NIC whose bridge is known has its tap set.
				xml = domain(nic{kind: "network", source: "network='lan' bridge='br0'", target: "vnet0"})
				h.run(t, xml, "web1", "started", "begin", "-").wantQuiet(t)
				wantMTU(t, "vnet0", 9000)
			})
		}
	})
}

// A session daemon's hook runs as its user. It does nothing, and does not read
// what it is given.
func TestIntegrationNotRoot(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		before := mtus(t)
		for _, op := range []string{"prepare", "start", "migrate", "restore", "reconnect"} {
			write(t, "/dev/domain.xml", cannot)
			stdin, err := os.Open("/dev/domain.xml")
			must(t, err)
			cmd := hookCmd(stdin, "web1", op, "begin", "-")
			cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
			r := h.runCmd(t, cmd)
			r.wantQuiet(t)
			if at, err := stdin.Seek(0, io.SeekCurrent); at != 0 || err != nil || len(r.log) > 0 {
				t.Errorf("%s: read %d bytes, %v, log %q", op, at, err, r.log)
			}
			stdin.Close()
		}
		if diff := cmp.Diff(before, mtus(t)); diff != "" {
			t.Error(diff)
		}
		if _, err := os.Stat(state.DefaultBase); err == nil {
			t.Error("it made a state folder")
		}
	})
}

// Where the kernel does not show its links nothing is known of any, which is no
// reason to stop a guest.
func TestIntegrationNoSysfs(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		must(t, syscall.Mount("tmpfs", "/sys", "tmpfs", 0, ""))
		for _, op := range []string{"prepare", "start", "migrate", "reconnect"} {
			for _, xml := range []string{cannot, domain(nic{target: "vnet0", mtu: mtu9000})} {
				r := h.run(t, xml, "web1", op, "begin", "-")
				if r.status != 0 || r.stderr != "" || !strings.Contains(strings.Join(r.log, "\n"), "/sys/class/net") {
					t.Errorf("%s: exit %d, stderr %q, log %q", op, r.status, r.stderr, r.log)
				}
			}
		}
	})
}
