package e2e

import (
	"encoding/json"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/check"
	"virt-mtu/test/lab"
)

// migration runs check --migrate-to -o json; keys that the contract does not have fail the
// test.
func migration(t testing.TB, h *lab.Host, args ...string) (check.Migration, lab.Result) {
	t.Helper()
	r := virtMTU(t, h, slices.Concat([]string{"check", "-o", "json"}, args)...)
	var m check.Migration
	d := json.NewDecoder(strings.NewReader(r.Stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		t.Fatalf("check %s: exit %d, %v\n%s%s", strings.Join(args, " "), r.Exit, err, r.Stdout, r.Stderr)
	}
	return m, r
}

// verdicts of a migration: "domain to" to "verdict code...".
func verdicts(m check.Migration) map[string]string {
	out := map[string]string{}
	for _, v := range m.Moves {
		text := v.Verdict
		for _, f := range v.Findings {
			text += " " + string(f.Code)
		}
		out[v.Domain+" "+v.To] = text
	}
	return out
}

// gates runs the hook as libvirt does at the destination of migrations, for domains whose
// XML is there as /run/lab/xml/NAME, and puts what it does into the words of a verdict:
// no: refused; unknown: let in, and it says that it does not know; yes: let in, "yes!" with
// a line in the log.
func gates(t testing.TB, there *lab.Host) map[string]string {
	t.Helper()
	const log = "/run/lab/syslog"
	before := len(there.ReadFile(t, log))
	out := there.Run(t, "bash", "-uc", `cd /run/lab/xml; for d in *; do
		stdout=$(`+bin(t, "qemu-hook")+` "$d" migrate begin - <"$d" 2>/run/lab/stderr) && status=0 || status=$?
		echo "$d $status ${stdout:+stdout}"; done`)
	said := there.Syslog(t)[before:]
	verdicts := map[string]string{}
	for line := range strings.Lines(out) {
		var name, more string
		status := -1
		if n, _ := fmt.Sscan(line, &name, &status, &more); n != 2 {
			t.Fatalf("the hook: %s", line)
		}
		var lines string
		for l := range strings.Lines(said) {
			if strings.Contains(l, "virt-mtu-hook") && strings.Contains(l, `domain "`+name+`"`) {
				lines += l
			}
		}
		switch {
		case status == 1:
			verdicts[name] = "no"
		case status != 0:
			t.Fatalf("the hook: %s", line)
		case strings.Contains(lines, "not known"):
			verdicts[name] = "unknown"
		case lines != "":
			verdicts[name] = "yes!"
		default:
			verdicts[name] = "yes"
		}
	}
	return verdicts
}

// What check says of a move, with all that can be known of the destination and with what
// its libvirt tells, and what the hook there does: who knows less may say that it does not
// know, and no one the contrary.
func TestIntegrationMovesAndTheGate(t *testing.T) {
	t.Parallel()
	here, there := lab.New(t), lab.New(t)
	cable(t, here, there)
	sshd(t, here, there)
	there.Run(t, "ln", "-s", bin(t, "virt-mtu"), remoteBin+"/virt-mtu")
	there.OVS(t)
	here.Libvirtd(t, "start")
	there.Libvirtd(t, "start", "--listen")

	const ignored = "<metadata><p:domain xmlns:p='urn:virt-mtu:policy:1' mtu='ignore'/></metadata>"
	on := func(source string) string {
		return "<interface type='" + strings.Fields(source)[0] + "'><mac address='52:54:00:00:00:01'/><source " + strings.Fields(source)[1] +
			"/><model type='virtio'/><mtu size='9000'/></interface>"
	}
	guests := map[string]string{
		"jumbo": nic("virtio", 9000),
		"plain": nic("virtio", 0),
		"onnet": on("network network='lan'"),
		"onovs": strings.Replace(on("bridge bridge='ovs0'"), "<model", "<virtualport type='openvswitch'/><model", 1),
		"alone": nic("virtio", 9000), // its owner wants it left alone
	}
	for name, nics := range guests {
		text := here.Domain(t, name, nics)
		if name == "alone" {
			text = strings.Replace(text, "<memory", ignored+"<memory", 1)
		}
		here.Define(t, text)
		there.WriteFile(t, "/run/lab/xml/"+name, persistent(t, here, name), 0o644)
	}

	const (
		lan = "virsh -q net-define /run/lab/lan.xml; virsh -q net-start lan\n"
		up  = "ip link add up0 mtu %d type veth peer name up0-sw mtu 9000 netns switch; ip link set up0 master br0 up\n"
		br  = "ip link add br0 type bridge; ip link set br0 up\n"
		pin = "ip link set br0 mtu %d; ip link set br0 mtu %[2]d\n"
	)
	there.Run(t, "ip", "netns", "add", "switch")
	there.WriteFile(t, "/run/lab/lan.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
	there.WriteFile(t, "/run/lab/own.xml", "<network><name>lan</name><forward mode='open'/><bridge name='br0'/><mtu size='9000'/>"+
		"<dns enable='no'/><ip address='192.0.2.65' prefix='28'/></network>", 0o644)
	uplink := func(mtu int) string { return fmt.Sprintf(up, mtu) }
	pinned := func(mtu int) string { return fmt.Sprintf(pin, mtu-1, mtu) }
	vxlan := "ip link add vx0 mtu %d type vxlan id 7 dstport 4789 remote 198.51.100.77 local " + thereAddr + "; ip link set vx0 master br0 up\n"
	// Verdicts in full, by libvirt alone, and of the hook.
	type views struct{ full, libvirt, hook string }
	yes := views{"yes", "yes", "yes"}
	for _, tt := range []struct {
		name, setup string
		jumbo       views
		plain       views
		onnet       views
		onovs       string // by the hook and libvirt it is never known
	}{
		{name: "there is nothing",
			jumbo: views{"no bridge-missing", "no bridge-missing", "unknown"}, plain: views{"no bridge-missing", "no bridge-missing", "yes"},
			onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}},
		{name: "a bridge at 9000", setup: br + pinned(9000) + lan, jumbo: yes, plain: yes, onnet: yes},
		{name: "a bridge at 1500", setup: br + lan,
			jumbo: views{"no guest-above-bridge", "no guest-above-bridge", "no"}, plain: yes,
			onnet: views{"no guest-above-bridge", "no guest-above-bridge", "no"}},
		{name: "no network", setup: br + pinned(9000), jumbo: yes, plain: yes, onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}},
		{name: "a network that is off", setup: br + pinned(9000) + "virsh -q net-define /run/lab/lan.xml", jumbo: yes, plain: yes,
			onnet: views{"no bridge-missing", "no bridge-missing", "yes"}},
		{name: "uplink at 1500", setup: br + uplink(1500) + lan,
			jumbo: views{"no guest-above-segment", "no guest-above-bridge", "no"}, plain: yes,
			onnet: views{"no guest-above-segment", "no guest-above-bridge", "no"}},
		{name: "uplink at 9000", setup: br + uplink(9000) + lan,
			jumbo: views{"yes", "unknown not-known", "yes"}, plain: yes, onnet: views{"yes", "unknown not-known", "yes"}},
		{name: "uplink at 9000, bridge pinned below", setup: br + uplink(9000) + pinned(1500),
			jumbo: views{"yes bridge-below-uplink", "unknown not-known", "yes!"}, plain: yes, onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}},
		{name: "uplink at 1500, bridge pinned above", setup: br + uplink(1500) + pinned(9000) + lan,
			jumbo: views{"no guest-above-segment", "unknown not-known", "no"}, plain: yes, onnet: views{"no guest-above-segment", "unknown not-known", "no"}},
		{name: "a tunnel that has more than its underlay leaves", setup: br + fmt.Sprintf(vxlan, 9000) + pinned(9000) + lan,
			jumbo: views{"no guest-above-segment", "unknown not-known", "unknown"}, plain: views{"yes guest-not-told", "yes", "yes"},
			onnet: views{"no guest-above-segment", "unknown not-known", "unknown"}},
		{name: "a tunnel that has too little", setup: br + fmt.Sprintf(vxlan, 1450) + lan,
			jumbo: views{"no guest-above-segment", "no guest-above-bridge", "no"}, plain: views{"yes guest-not-told", "yes guest-not-told", "yes"},
			onnet: views{"no guest-above-segment", "no guest-above-bridge", "no"}},
		{name: "a tunnel on a jumbo underlay", setup: "ip link set mig mtu 9050\n" + br + fmt.Sprintf(vxlan, 9000) + lan,
			jumbo: views{"yes", "unknown not-known", "unknown"}, plain: yes, onnet: views{"yes", "unknown not-known", "unknown"}},
		{name: "beside a tunnel a veth does not count", setup: "ip link set mig mtu 9050\n" + br + fmt.Sprintf(vxlan, 9000) + uplink(1500) + pinned(9000) + lan,
			jumbo: views{"yes", "unknown not-known", "unknown"}, plain: yes, onnet: views{"yes", "unknown not-known", "unknown"}},
		{name: "somebody's tap", setup: br + pinned(9000) + "ip tuntap add t0 mode tap; ip link set t0 master br0\n" + lan,
			jumbo: views{"yes", "unknown not-known", "yes"}, plain: yes, onnet: views{"yes", "unknown not-known", "yes"}},
		{name: "no bridge but a link of that name", setup: "ip link add br0 type veth peer name br0-x",
			jumbo: views{"no bridge-missing", "unknown not-known", "unknown"}, plain: views{"no bridge-missing", "yes", "yes"},
			onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}},
		{name: "a network that libvirt makes", setup: "virsh -q net-define /run/lab/own.xml; virsh -q net-start lan\n",
			jumbo: yes, plain: yes, onnet: yes},
		{name: "Open vSwitch", setup: "ovs-vsctl --timeout=10 add-br ovs0 -- set bridge ovs0 datapath_type=netdev\n" +
			"ip link add up9 mtu 9000 type veth peer name up9-sw mtu 9000 netns switch; ip link set up9 up; ovs-vsctl --timeout=10 add-port ovs0 up9\n",
			jumbo: views{"no bridge-missing", "no bridge-missing", "unknown"}, plain: views{"no bridge-missing", "no bridge-missing", "yes"},
			onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}, onovs: "yes"},
		{name: "Open vSwitch at 1500", setup: "ovs-vsctl --timeout=10 add-br ovs0 -- set bridge ovs0 datapath_type=netdev\n" +
			"ip link add up9 mtu 1500 type veth peer name up9-sw netns switch; ip link set up9 up; ovs-vsctl --timeout=10 add-port ovs0 up9\n",
			jumbo: views{"no bridge-missing", "no bridge-missing", "unknown"}, plain: views{"no bridge-missing", "no bridge-missing", "yes"},
			onnet: views{"no bridge-missing", "no bridge-missing", "unknown"}, onovs: "no guest-above-segment"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			there.Run(t, "bash", "-euc", `
				virsh -q net-list --name | xargs -r -n1 virsh -q net-destroy
				virsh -q net-list --all --name | xargs -r -n1 virsh -q net-undefine
				ovs-vsctl --timeout=10 --if-exists del-br ovs0
				for l in br0 vx0 up0 up9 t0; do ip link del $l 2>/dev/null || true; done
				ip link set mig mtu 1500
				`+tt.setup)
			m, r := migration(t, here, "--migrate-to", "qemu+ssh://root@"+thereAddr+"/system", "--migrate-to", "qemu+tcp://"+thereAddr2+"/system")
			got := verdicts(m)
			want := map[string]views{"jumbo": tt.jumbo, "plain": tt.plain, "onnet": tt.onnet, "alone": {"yes", "yes", "yes"},
				"onovs": {cmpOr(tt.onovs, "no bridge-missing"), "unknown not-known", "unknown"}}
			if strings.Contains(tt.jumbo.full, "missing") {
				want["alone"] = views{tt.plain.full, tt.plain.libvirt, "yes"}
			}
			said := map[string]views{}
			hook := gates(t, there)
			for name := range guests {
				v := views{got[name+" "+thereAddr], got[name+" "+thereAddr2], hook[name]}
				said[name] = v
				// A network or bridge that is not there libvirt itself stops at, after the hook.
				certain := map[string]bool{}
				for _, answer := range []string{v.full, v.libvirt, v.hook} {
					verdict, codes, _ := strings.Cut(answer, " ")
					if verdict = strings.Trim(verdict, "!"); verdict != "unknown" && codes != "bridge-missing" {
						certain[verdict] = true
					}
				}
				if len(certain) > 1 {
					t.Errorf("%s: they contradict each other: %+v", name, v)
				}
			}
			if d := cmp.Diff(want, said, cmp.AllowUnexported(views{})); d != "" {
				t.Errorf("want-, got+:\n%s\n%s", d, r.Stderr)
			}
			exit := 0
			for _, v := range slices.Collect(maps.Values(got)) {
				if strings.HasPrefix(v, "no ") {
					exit = 2
				}
			}
			if exit == 2 && r.Exit != 2 {
				t.Errorf("exit %d", r.Exit)
			}
		})
	}
}

func cmpOr(s, or string) string {
	if s != "" {
		return s
	}
	return or
}

// The tap of a guest that runs at the destination is no uplink, and libvirt knows of it.
func TestIntegrationMovesBesideGuests(t *testing.T) {
	t.Parallel()
	here, there := lab.New(t), lab.New(t)
	cable(t, here, there)
	here.Libvirtd(t, "start")
	there.Libvirtd(t, "start", "--listen")
	here.Bridge(t, "br0", 9000)
	there.Bridge(t, "br0", 9000)
	define(t, there, "old1", nic("virtio", 1500))
	start(t, there, "old1")
	define(t, here, "runs1", nic("virtio", 9000))
	define(t, here, "off1", strings.Replace(nic("virtio", 9000), "br0", "br9", 1))
	start(t, here, "runs1")
	tcp := "qemu+tcp://" + thereAddr + "/system"

	m, r := migration(t, here, "--migrate-to", tcp, "--all")
	if d := cmp.Diff(map[string]string{"runs1 " + thereAddr: "yes", "off1 " + thereAddr: "no bridge-missing"}, verdicts(m)); d != "" || r.Exit != 2 {
		t.Errorf("exit %d, want-, got+:\n%s%s", r.Exit, d, r.Stderr)
	}
	for _, v := range m.Moves {
		if want := map[string]string{"runs1": "running", "off1": "shut off"}[v.Domain]; v.State != want {
			t.Errorf("%s is %q", v.Domain, v.State)
		}
	}
	text := virtMTU(t, here, "check", "--migrate-to", tcp)
	wantSays(t, "the table", text.Stdout, "off1 (shut off)  here", "runs1           ", `there is no bridge "br9"`, "2 moves: 1 yes, 1 no")

	t.Run("of some", func(t *testing.T) {
		if m, r := migration(t, here, "--migrate-to", tcp, "runs1"); len(m.Moves) != 1 || r.Exit != 0 || r.Stderr != "" {
			t.Errorf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
		m, r := migration(t, here, "--migrate-to", tcp, "runs1", "nope")
		if verdicts(m)["nope "+thereAddr] != "unknown not-known" || r.Exit != 3 {
			t.Errorf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
	})

	t.Run("by sockets", func(t *testing.T) {
		// From outside of both, where each is at a path.
		at := func(h *lab.Host) string {
			return "qemu+unix:///system?socket=" + h.Path("/run/libvirt/libvirt-sock")
		}
		cmd := exec.Command(bin(t, "virt-mtu"), "check", "--connect", at(here), "--migrate-to", at(there), "-o", "json", "runs1")
		out, err := cmd.Output()
		var m check.Migration
		if err != nil || json.Unmarshal(out, &m) != nil || len(m.Moves) != 1 {
			t.Fatalf("%v\n%s", err, out)
		}
		if name := strings.TrimSpace(there.Run(t, "hostname")); m.Moves[0].Verdict != "yes" || m.Moves[0].To != name {
			t.Errorf("%+v, on %s", m.Moves[0], name)
		}
	})

	t.Run("facts of both", func(t *testing.T) {
		here.WriteFile(t, "/run/lab/here.json", virtMTU(t, here, "facts").Stdout, 0o644)
		here.WriteFile(t, "/run/lab/there.json", virtMTU(t, there, "facts").Stdout, 0o644)
		name := strings.TrimSpace(there.Run(t, "hostname"))
		m, r := migration(t, here, "--facts", "/run/lab/here.json", "--facts", "/run/lab/there.json", "--migrate-to", name)
		if d := cmp.Diff(map[string]string{"runs1 " + name: "yes", "off1 " + name: "no bridge-missing"}, verdicts(m)); d != "" || r.Exit != 2 {
			t.Errorf("exit %d, want-, got+:\n%s%s", r.Exit, d, r.Stderr)
		}
		// The facts of the one, and the other itself.
		m, _ = migration(t, here, "--facts", "/run/lab/here.json", "--migrate-to", tcp, "runs1")
		if got := verdicts(m)["runs1 "+thereAddr]; got != "yes" {
			t.Error(got)
		}
	})

	t.Run("a libvirt that hangs", func(t *testing.T) {
		there.Libvirtd(t, "freeze")
		defer there.Libvirtd(t, "thaw")
		began := time.Now()
		m, r := migration(t, here, "--migrate-to", tcp, "--timeout", "1s", "runs1")
		if got := verdicts(m)["runs1 "+thereAddr]; got != "unknown not-known" || r.Exit != 3 || time.Since(began) > time.Minute {
			t.Errorf("%s, exit %d after %v", got, r.Exit, time.Since(began))
		}
		wantSays(t, "stderr", r.Stderr, "did not answer within 1s", "hint: ")
	})

	t.Run("nobody listens", func(t *testing.T) {
		m, r := migration(t, here, "--migrate-to", "qemu+tcp://"+thereAddr+":1/system", "runs1")
		if got := verdicts(m)["runs1 "+thereAddr]; got != "unknown not-known" || r.Exit != 3 {
			t.Errorf("%s, exit %d", got, r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "connection refused", "hint: nothing listens there")
	})
}

// By ssh, and what may be at its other end.
func TestIntegrationMovesBySSH(t *testing.T) {
	t.Parallel()
	here, there := lab.New(t), lab.New(t)
	cable(t, here, there)
	sshd(t, here, there)
	here.Libvirtd(t, "start")
	there.Libvirtd(t, "start")
	there.Bridge(t, "br0", 9000)
	there.Uplink(t, "br0", "up0", 9000)
	define(t, here, "jumbo1", nic("virtio", 9000))
	define(t, here, "net1", strings.Replace(strings.Replace(nic("virtio", 9000), "type='bridge'", "type='network'", 1), "bridge='br0'", "network='lan'", 1))
	there.WriteFile(t, "/run/lab/lan.xml", "<network><name>lan</name><forward mode='bridge'/><bridge name='br0'/></network>", 0o644)
	there.Run(t, "virsh", "-q", "net-define", "/run/lab/lan.xml")
	there.Run(t, "virsh", "-q", "net-start", "lan")
	uri := "qemu+ssh://root@" + thereAddr + "/system"

	// put makes a program of the host there, by a script.
	put := func(t *testing.T, name, script string) {
		t.Helper()
		there.WriteFile(t, remoteBin+"/"+name, "#!/bin/bash\n"+script+"\n", 0o755)
		t.Cleanup(func() { there.Run(t, "rm", "-f", remoteBin+"/"+name) })
	}
	real := "exec " + bin(t, "virt-mtu") + ` "$@"`
	const less = "is judged by what its libvirt tells, which is less than its virt-mtu would"
	const yes, unknown = "yes", "unknown not-known" // in full, and by libvirt alone: of an uplink it is not known what it is
	for _, tt := range []struct {
		name    string
		virtmtu string // empty: none
		helper  string // empty: the real virt-ssh-helper
		args    []string
		uri     string
		want    string
		exit    int
		says    []string // on stderr
		not     string
	}{
		{name: "its virt-mtu", virtmtu: real, want: yes},
		{name: "its virt-mtu, which could not read all", virtmtu: real + "; exit 1", want: yes},
		{name: "no virt-mtu there", want: unknown, exit: 3, says: []string{less, "exit status 127"}},
		{name: "a virt-mtu that fails", virtmtu: "echo >&2 broken; exit 2", want: unknown, exit: 3, says: []string{less, "exit status 2: broken"}},
		{name: "one that says nothing", virtmtu: "exit 0", want: unknown, exit: 3, says: []string{less, "says nothing"}},
		{name: "garbage", virtmtu: "head -c 1000000 /dev/urandom", want: unknown, exit: 3, says: []string{less, "not a JSON object"}},
		{name: "facts that are cut off", virtmtu: bin(t, "virt-mtu") + ` "$@" | head -c 1000`, want: unknown, exit: 3, says: []string{less, "cut off"}},
		{name: "facts of another version", virtmtu: `echo '{"version": 2}'`, want: unknown, exit: 3, says: []string{less, "version 2"}},
		{name: "200 MB", virtmtu: "head -c 200000000 /dev/zero", want: unknown, exit: 3, says: []string{less, "more than 64 MiB"}},
		{name: "it hangs", virtmtu: "exec sleep 1000", args: []string{"--timeout", "2s"}, want: unknown, exit: 3, says: []string{less, "did not answer within 4s"}},
		{name: "no helper either", helper: "echo >&2 no such thing; exit 127", want: unknown, exit: 3, says: []string{less, "no such thing", "hint: virt-ssh-helper comes with libvirt"}},
		{name: "a helper that hangs", helper: "exec sleep 1000", args: []string{"--timeout", "2s"}, want: unknown, exit: 3, says: []string{less, "did not answer within 2s"}},
		{name: "a helper that greets", helper: "echo Welcome to this host and all that is on it; exec sleep 1000", want: unknown, exit: 3, says: []string{"what answers is not libvirt", ".bashrc"}},
		{name: "a helper that floods", helper: "exec cat /dev/zero", want: unknown, exit: 3, says: []string{"what answers is not libvirt"}},
		{name: "nobody there", uri: "qemu+ssh://root@198.51.100.99/system", args: []string{"--timeout", "2s"}, exit: 3, says: []string{"exit status 255", "hint: "}, not: less},
		{name: "nobody listens", virtmtu: real, uri: "qemu+ssh://root@" + thereAddr + ":1/system", want: unknown, exit: 3, says: []string{"Connection refused"}, not: less},
		{name: "a host that is not known", virtmtu: real, uri: "qemu+ssh://root@" + thereAddr2 + "/system", exit: 3, says: []string{"Host key verification failed"}, not: less},
		{name: "nor wanted to be", virtmtu: real, uri: "qemu+ssh://root@" + thereAddr2 + "/system?no_verify=1"},
		{name: "a user that is not let in", virtmtu: real, uri: "qemu+ssh://nobody@" + thereAddr + "/system", want: unknown, exit: 3, says: []string{"Permission denied"}, not: less},
		{name: "a key that is not let in", virtmtu: real, uri: uri + "?keyfile=/run/lab/home/.ssh/other", want: yes}, // the other key comes after it
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.virtmtu != "" {
				put(t, "virt-mtu", tt.virtmtu)
			}
			if tt.helper != "" {
				put(t, "virt-ssh-helper", tt.helper)
			}
			to := cmpOr(tt.uri, uri)
			m, r := migration(t, here, slices.Concat([]string{"--migrate-to", to, "jumbo1"}, tt.args)...)
			if got := verdicts(m)["jumbo1 "+thereAddr]; got != tt.want && tt.want != "" || r.Exit != tt.exit {
				t.Errorf("%s, exit %d; want %s, %d\n%s", got, r.Exit, tt.want, tt.exit, r.Stderr)
			}
			wantSays(t, "stderr", r.Stderr, tt.says...)
			if tt.exit == 0 && tt.uri == "" && r.Stderr != "" || tt.not != "" && strings.Contains(r.Stderr, tt.not) {
				t.Errorf("stderr:\n%s", r.Stderr)
			}
			if left := here.Try(t, "pgrep", "-x", "-a", "ssh"); left.Stdout != "" {
				t.Errorf("left behind: %s", left.Stdout)
			}
		})
	}

	t.Run("a port that says nothing", func(t *testing.T) {
		silent := there.Command("busybox", "nc", "-l", "-p", "2222", "-s", thereAddr, "-e", "sleep", "1000")
		if err := silent.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { silent.Process.Kill(); silent.Wait() })
		began := time.Now()
		m, r := migration(t, here, "--migrate-to", "qemu+ssh://root@"+thereAddr+":2222/system", "--timeout", "2s", "jumbo1")
		if verdicts(m)["jumbo1 "+thereAddr] != unknown || r.Exit != 3 || time.Since(began) > time.Minute {
			t.Errorf("exit %d after %v\n%s", r.Exit, time.Since(began), r.Stderr)
		}
	})

	t.Run("a libvirt that is not there", func(t *testing.T) {
		put(t, "virt-mtu", real)
		there.Libvirtd(t, "stop")
		defer there.Libvirtd(t, "start")
		m, r := migration(t, here, "--migrate-to", uri)
		// Its links are read all the same; of its networks nothing is known, least of all
		// that they are not there.
		if d := cmp.Diff(map[string]string{"jumbo1 " + thereAddr: yes, "net1 " + thereAddr: unknown}, verdicts(m)); d != "" || r.Exit != 3 {
			t.Errorf("exit %d, want-, got+:\n%s%s", r.Exit, d, r.Stderr)
		}
		wantSays(t, "stderr", r.Stderr, "connect to libvirt")
	})
}
