package libvirt

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestParseRemote(t *testing.T) {
	for uri, want := range map[string]Remote{
		"qemu+ssh://kvm2/system":                               {Host: "kvm2", name: "qemu:///system", via: "ssh"},
		"qemu+ssh://root@kvm2:2222/session":                    {Host: "kvm2", name: "qemu:///session", via: "ssh", user: "root", port: "2222"},
		"qemu+ssh://kvm2/system?keyfile=/k%20y&no_verify=1":    {Host: "kvm2", name: "qemu:///system", via: "ssh", keyfile: "/k y", noVerify: true},
		"qemu+ssh://kvm2/system?no_verify=0&no_tty=1":          {Host: "kvm2", name: "qemu:///system", via: "ssh"},
		"qemu+ssh://[2001:db8::2]/system":                      {Host: "2001:db8::2", name: "qemu:///system", via: "ssh"},
		"qemu+ssh://[fe80::1%25eth0]/system":                   {Host: "fe80::1%eth0", name: "qemu:///system", via: "ssh"},
		"qemu+tcp://192.0.2.1/system":                          {Host: "192.0.2.1", name: "qemu:///system", via: "tcp"},
		"qemu+tcp://[2001:db8::2]:16510/system":                {Host: "2001:db8::2", name: "qemu:///system", via: "tcp", port: "16510"},
		"qemu+unix:///system?socket=/proc/1/root/x/sock":       {name: "qemu:///system", via: "unix", local: address{"qemu:///system", []string{"/proc/1/root/x/sock"}}},
		"qemu:///system?socket=/x/sock":                        {name: "qemu:///system", via: "unix", local: address{"qemu:///system", []string{"/x/sock"}}},
		"qemu+ssh://kvm2.example.org/system?keyfile=~/.ssh/id": {Host: "kvm2.example.org", name: "qemu:///system", via: "ssh", keyfile: "~/.ssh/id"},
	} {
		got, err := ParseRemote(uri)
		if err != nil {
			t.Errorf("%s: %v", uri, err)
			continue
		}
		want.uri = uri
		if diff := cmp.Diff(&want, got, cmp.AllowUnexported(Remote{}, address{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", uri, diff)
		}
	}
}

func TestParseRemoteRefused(t *testing.T) {
	for uri, why := range map[string]string{
		"qemu+tls://kvm2/system":                              "TLS",
		"qemu://kvm2/system":                                  "TLS",
		"qemu+libssh2://kvm2/system":                          `transport "libssh2"`,
		"qemu+ext://kvm2/system":                              `transport "ext"`,
		"xen+ssh://kvm2/system":                               "QEMU",
		"kvm2":                                                "QEMU",
		"qemu+ssh:///system":                                  "no host",
		"qemu+tcp:///system":                                  "no host",
		"qemu+ssh://kvm2":                                     "/system",
		"qemu+ssh://kvm2/embed":                               "/system",
		"qemu+ssh://kvm2:0/system":                            "port",
		"qemu+ssh://kvm2:99999/system":                        "port",
		"qemu+ssh://-oProxyCommand=x/system":                  "no host can be called",
		"qemu+ssh://kvm2%20-oProxyCommand=x/system":           "connection URI",
		"qemu+ssh://kvm2;reboot/system":                       "no host can be called",
		"qemu+ssh://$(reboot)/system":                         "no host can be called",
		"qemu+ssh://-oProxyCommand=x@kvm2/system":             "user",
		"qemu+ssh://a%0Ab@kvm2/system":                        "user",
		"qemu+ssh://%60reboot%60@kvm2/system":                 "user",
		"qemu+ssh://root:secret@kvm2/system":                  "password",
		"qemu+tcp://root@kvm2/system":                         "user",
		"qemu+ssh://kvm2/system?command=/tmp/evil":            `"command"`,
		"qemu+ssh://kvm2/system?netcat=/tmp/evil":             `"netcat"`,
		"qemu+ssh://kvm2/system?keyfile=":                     `"keyfile"`,
		"qemu+ssh://kvm2/system?keyfile=a&keyfile=b":          `"keyfile"`,
		"qemu+ssh://kvm2/system?keyfile=a%0ab":                `"keyfile"`,
		"qemu+ssh://kvm2/system?no_verify=yes":                `"no_verify"`,
		"qemu+tcp://kvm2/system?keyfile=a":                    `"keyfile"`,
		"qemu+unix://kvm2/system":                             "not a libvirt on this host",
		"qemu+ssh://kvm2/system?keyfile=%zz":                  "%zz",
		"qemu+ssh://kvm2\x00/system":                          "control character",
		"qemu+ssh://kvm2\u202e/system":                        "no host can be called",
		"qemu+ssh://" + strings.Repeat("[", 100) + "/system?": "connection URI",
	} {
		got, err := ParseRemote(uri)
		if err == nil || !strings.Contains(err.Error(), why) {
			t.Errorf("%q: %+v, %v; want one about %s", uri, got, err, why)
		}
	}
	_, err := ParseRemote("qemu+tls://kvm2/system")
	if hint := Hint(err); !strings.Contains(hint, "qemu+ssh://") || !strings.Contains(hint, "--facts") {
		t.Errorf("hint %q", hint)
	}
}

// Nothing of a URI becomes an option of ssh's, and the host comes behind the last of them.
func TestSSHArgs(t *testing.T) {
	for uri, want := range map[string]string{
		"qemu+ssh://kvm2/system": "-T -e none -o BatchMode=yes -o ConnectTimeout=10 -- kvm2 true",
		"qemu+ssh://u@kvm2:222/system?keyfile=-oProxyCommand=x&no_verify=1": "-T -e none -o BatchMode=yes -o ConnectTimeout=10 " +
			"-p 222 -l u -i -oProxyCommand=x -o StrictHostKeyChecking=no -- kvm2 true",
	} {
		r, err := ParseRemote(uri)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(r.sshArgs(9500*time.Millisecond, "true"), " "); got != want {
			t.Errorf("%s:\n%s\nwant\n%s", uri, got, want)
		}
	}
	r, _ := ParseRemote("qemu+ssh://kvm2/system")
	if args := r.sshArgs(time.Millisecond, "true"); !slices.Contains(args, "ConnectTimeout=1") {
		t.Errorf("0 would be for ever: %q", args)
	}
}

// fakeSSH puts a shell script called ssh in the way of the real one: what an ssh does
// that hangs or floods cannot be had of one that works.
func fakeSSH(t *testing.T, script string) *Remote {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ssh"), []byte("#!/bin/bash\n"+script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	r, err := ParseRemote("qemu+ssh://kvm2/system")
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// patience is far more than any of these should take, on a busy machine too.
const patience = 30 * time.Second

func TestRunRemote(t *testing.T) {
	for _, tt := range []struct {
		name    string
		script  string
		timeout time.Duration
		out     string
		err     error
		says    string
	}{
		{"it answers", "echo one", patience, "one\n", nil, ""},
		{"it answers and fails", "echo one; echo >&2 two; echo >&2 three; exit 1", patience, "one\n", errAny, "exit status 1: two; three"},
		{"no such command", "exit 127", patience, "", ErrNoCommand, "127"},
		{"ssh fails", "echo >&2 'Permission denied (publickey).'; exit 255", patience, "", ErrUnreachable, "Permission denied (publickey)."},
		{"stdin is at its end", "cat; echo end", patience, "end\n", nil, ""},
		{"too much", "head -c 2000000 /dev/zero", patience, "", errAny, "more than 1 MiB"},
		{"too much, for ever", "exec cat /dev/zero", patience, "", errAny, "more than 1 MiB"},
		{"a flood of complaints", "head -c 100000 /dev/zero | tr '\\0' x >&2; exit 3", patience, "", errAny, "exit status 3: xxx"},
		{"control characters", "printf '\\033[2Jhello\\r\\n' >&2; exit 3", patience, "", errAny, "exit status 3: ?[2Jhello"},
		{"it hangs", "exec sleep 1000", 100 * time.Millisecond, "", ErrTimeout, "200ms"},
		{"it hangs and will not go", "trap '' TERM; while :; do sleep 0.1; done", 100 * time.Millisecond, "", ErrTimeout, ""},
		{"its stderr stays open", "sleep 40 >/dev/null & echo one", patience, "one\n", nil, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := fakeSSH(t, "echo $$ >\"${0%/*}/pid\"\n"+tt.script)
			began := time.Now()
			out, err := r.Run(context.Background(), tt.timeout, 1<<20, "virt-mtu facts")
			switch {
			case tt.err == errAny:
				if err == nil {
					t.Error("no error")
				}
			case !errors.Is(err, tt.err):
				t.Errorf("error %v, want %v", err, tt.err)
			}
			if err != nil && (!strings.Contains(err.Error(), tt.says) || len(err.Error()) > maxSaid+200 || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%q", err)
			}
			if string(out) != tt.out {
				t.Errorf("out %.40q", out)
			}
			if took := time.Since(began); took > patience {
				t.Errorf("took %v", took)
			}
			dir, _, _ := strings.Cut(os.Getenv("PATH"), ":")
			pid, err := os.ReadFile(filepath.Join(dir, "pid"))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat("/proc/" + strings.TrimSpace(string(pid))); !os.IsNotExist(err) {
				t.Errorf("ssh is still there, or not reaped: %v", err)
			}
		})
	}
	t.Run("interrupted", func(t *testing.T) {
		r := fakeSSH(t, "exec sleep 1000")
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(50*time.Millisecond, cancel)
		if _, err := r.Run(ctx, patience, 1<<20, "true"); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	})
	t.Run("no ssh", func(t *testing.T) {
		r := fakeSSH(t, "")
		t.Setenv("PATH", "/nonexistent")
		_, err := r.Run(context.Background(), patience, 1<<20, "true")
		if err == nil || !strings.Contains(Hint(err), "install the ssh client") {
			t.Errorf("%v, hint %q", err, Hint(err))
		}
	})
}

var errAny = errors.New("any")

// What answers a dial and is no libvirt.
func TestDialRemoteForeign(t *testing.T) {
	for _, tt := range []struct {
		name, script string
		timeout      time.Duration
		err          error
		says         string
	}{
		{"a banner", "echo Welcome to this host, which is a nice one; sleep 1000", patience, ErrForeign, `"Welcome to this host, w`},
		{"zeros", "exec cat /dev/zero", patience, ErrForeign, ""},
		{"nothing", "exec sleep 1000", 100 * time.Millisecond, ErrTimeout, ""},
		{"no helper", "echo >&2 'sh: 1: virt-ssh-helper: not found'; exit 127", patience, ErrNoCommand, "virt-ssh-helper: not found"},
		{"its end", "exit 0", patience, ErrLost, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r := fakeSSH(t, tt.script)
			c, err := r.DialRemote(context.Background(), tt.timeout)
			if err == nil {
				c.Close()
				t.Fatal("connected")
			}
			if !errors.Is(err, tt.err) || !strings.Contains(err.Error(), tt.says) || Hint(err) == "" {
				t.Errorf("%v, hint %q", err, Hint(err))
			}
		})
	}
}

// packet is one of libvirt's protocol, its length as it says.
func packet(length, program, typ, status uint32, payload ...byte) []byte {
	var b []byte
	for _, n := range []uint32{length, program, 1, 1, typ, 7, status} {
		b = binary.BigEndian.AppendUint32(b, n)
	}
	return append(b, payload...)
}

func TestFramed(t *testing.T) {
	const remote, keepalive = 0x20008086, 0x6b656570
	list := packet(36, remote, 1, 0, 0, 0, 0, 4, 1, 2, 3, 4)
	for _, tt := range []struct {
		name string
		in   []byte
		ok   bool
	}{
		{"nothing", nil, true},
		{"without payload", packet(28, keepalive, 2, 0), true},
		{"a string", list, true},
		{"several", slices.Concat(list, packet(28, keepalive, 2, 0), list, packet(30, remote, 1, 0, 0, 0), list), true},
		{"an error's code is no length", packet(36, remote, 1, 1, 0, 0, 1, 0, 1, 2, 3, 4), true},
		{"shorter than its header", packet(27, remote, 1, 0), false},
		{"of no length", packet(0, remote, 1, 0), false},
		{"too large", packet(maxPacket+1, remote, 1, 0), false},
		{"another program", packet(28, 0x20008088, 1, 0), false},
		{"more than it has", packet(36, remote, 1, 0, 0x7f, 0xff, 0xff, 0xff, 0, 0, 0, 0), false},
		{"the second", slices.Concat(list, []byte("garbage garbage garbage garbage")), false},
	} {
		for _, step := range []int{1, 3, 28, 1000} {
			f := &framed{Conn: pieces{tt.in, step}.conn(t)}
			got, err := io.ReadAll(f)
			if tt.ok && (err != nil || string(got) != string(tt.in)) || !tt.ok && !errors.Is(err, ErrForeign) {
				t.Errorf("%s, %d at a time: %v, %d of %d bytes", tt.name, step, err, len(got), len(tt.in))
			}
			if _, again := f.Read(make([]byte, 1)); !tt.ok && !errors.Is(again, ErrForeign) {
				t.Errorf("%s: then %v", tt.name, again)
			}
		}
	}
}

// pieces arrive so many bytes at a time.
type pieces struct {
	all  []byte
	step int
}

func (p pieces) conn(t *testing.T) net.Conn {
	ours, theirs := net.Pipe()
	t.Cleanup(func() { ours.Close() })
	go func() {
		defer theirs.Close()
		for piece := range slices.Chunk(p.all, p.step) {
			if _, err := theirs.Write(piece); err != nil {
				return
			}
		}
	}()
	return ours
}
