package e2e

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"virt-mtu/test/lab"
)

// nicOn is the XML of a NIC on br0 with a number of its own: the last octet of its MAC.
func nicOn(model string, number int, more string) string {
	return strings.Replace(strings.Replace(nic(model, 0), ":01'", ":"+hex(number)+"'", 1), "</interface>", more+"</interface>", 1)
}

func hex(n int) string { return string("0123456789abcdef"[n>>4]) + string("0123456789abcdef"[n&15]) }

// inGuest runs a command in the guest that has to succeed, and returns what it says.
func inGuest(t testing.TB, h *lab.Host, addr string, args ...string) string {
	t.Helper()
	r := h.Guest(t, addr, args...)
	if r.Exit != 0 {
		t.Fatalf("%q in the guest at %s: exit %d\n%s%s", args, addr, r.Exit, r.Stdout, r.Stderr)
	}
	return strings.TrimSpace(r.Stdout)
}

// guestMTU is what the kernel of a guest says.
func guestMTU(t testing.TB, h *lab.Host, addr, dev string) int {
	t.Helper()
	n, err := strconv.Atoi(inGuest(t, h, addr, "cat", "/sys/class/net/"+dev+"/mtu"))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// pingOut reports whether a guest gets an IPv4 packet of that size to the host in one piece.
func pingOut(t testing.TB, h *lab.Host, addr, size string) bool {
	t.Helper()
	return h.Guest(t, addr, "/bin/ping", "-c", "1", "-W", "2", "-M", "do", "-s", size, lab.Addr).Exit == 0
}

// answering waits for the agent of a guest that is up.
func answering(t testing.TB, h *lab.Host, domain string) {
	t.Helper()
	for range 100 {
		if h.Try(t, "virsh", "-q", "qemu-agent-command", domain, `{"execute":"guest-ping"}`).Exit == 0 {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
	t.Fatalf("the agent of %s does not answer:\n%s", domain, h.Console(t, domain))
}

// A real agent in real guests.
func TestIntegrationAgent(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	const a, b = "192.0.2.11", "192.0.2.12"
	h.Define(t, h.Domain(t, "ag1", nicOn("virtio", 1, "")+nicOn("e1000", 2, ""), "agent", "gip="+a))
	h.Define(t, h.Domain(t, "told1", nicOn("virtio", 3, "<mtu size='4000'/>"), "agent", "gip="+b))
	h.Define(t, h.Domain(t, "mute1", nicOn("virtio", 4, "")))
	for _, name := range []string{"ag1", "told1", "mute1"} {
		start(t, h, name)
	}
	for _, name := range []string{"ag1", "told1"} {
		h.WaitBoot(t, name)
		answering(t, h, name)
	}

	t.Run("never without the flag", func(t *testing.T) {
		inGuest(t, h, a, "ip", "link", "set", "eth0", "mtu", "1400")
		must(t, h, "fix", "ag1")
		if got := guestMTU(t, h, a, "eth0"); got != 1400 {
			t.Errorf("the guest has %d", got)
		}
		if r := virtMTU(t, h, "check", "ag1"); strings.Contains(r.Stdout, "1400") {
			t.Errorf("nobody has asked the guest:\n%s", r.Stdout)
		}
	})

	t.Run("check reads what it really has", func(t *testing.T) {
		r := virtMTU(t, h, "check", "--agent", "ag1")
		wantSays(t, "check", r.Stdout, "1400  <-- bottleneck", "says the guest itself")
		inGuest(t, h, a, "ip", "link", "set", "eth0", "mtu", "9100")
		r = virtMTU(t, h, "check", "--agent", "ag1")
		if r.Exit != 2 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "check", r.Stdout, "critical guest-above-bridge: the guest has 9100", "virt-mtu fix --agent ag1")
		facts := must(t, h, "facts")
		if strings.Contains(facts, "9100") {
			t.Error("facts has asked the guest")
		}
		facts = virtMTU(t, h, "facts", "--agent").Stdout
		wantSays(t, "facts", facts, `"mtu": 9100`)
	})

	t.Run("a dry run says what it would do", func(t *testing.T) {
		out := must(t, h, "fix", "--agent", "--dry-run", "ag1")
		wantSays(t, "fix", out, "inside the guest: mtu 9100 -> 9000 (bridge br0 has 9000)", "inside the guest: mtu 1500 -> 9000", "would change")
		if got := guestMTU(t, h, a, "eth0"); got != 9100 {
			t.Errorf("the guest has %d", got)
		}
	})

	t.Run("fix sets it and reads it back", func(t *testing.T) {
		inGuest(t, h, a, "ip", "link", "set", "eth0", "mtu", "1500")
		inGuest(t, h, a, "vconfig", "add", "eth0", "5")
		if pingOut(t, h, a, "8972") {
			t.Fatal("9000 bytes get out before")
		}
		out := must(t, h, "fix", "--agent", "ag1")
		wantSays(t, "fix", out, "inside the guest: eth0: mtu 1500 -> 9000 (bridge br0 has 9000)", "inside the guest: eth1: mtu 1500 -> 9000",
			"what lies on eth0 in the guest keeps its own MTU, and has to be set there: eth0.5",
			"should the guest reboot before its cold start, that is undone", "to last, in the guest: ")
		if x, y, z := guestMTU(t, h, a, "eth0"), guestMTU(t, h, a, "eth1"), guestMTU(t, h, a, "eth0.5"); x != 9000 || y != 9000 || z != 1500 {
			t.Errorf("eth0 has %d, eth1 %d, eth0.5 %d", x, y, z)
		}
		if !pingOut(t, h, a, "8972") {
			t.Error("9000 bytes do not get out of it")
		}
		if !h.Ping(t, a, 9000) {
			t.Error("9000 bytes do not get into it")
		}
		got := fixed(t, h, "--agent", "ag1")
		if got.GuestMTU != 9000 || got.Pending != "cold-start" {
			t.Errorf("again: %+v", got)
		}
		r, _ := fixJSON(t, h, "--agent", "ag1")
		if r.Domains[0].Changed {
			t.Error("the second time changes something")
		}
	})

	t.Run("not above what the running NIC was told", func(t *testing.T) {
		out := must(t, h, "fix", "--agent", "--force", "told1")
		wantSays(t, "fix", out, "update: mtu 4000 -> 9000", "the running guest was told 4000, and its driver takes no more: 9000 waits for a cold start", "eth0 has 4000 already")
		if got := guestMTU(t, h, b, "eth0"); got != 4000 {
			t.Errorf("the guest has %d", got)
		}
	})

	t.Run("a guest without an agent", func(t *testing.T) {
		r := virtMTU(t, h, "fix", "--agent", "mute1")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "no guest agent is configured", "hint: give the domain a <channel")
		if !hasMTU(persistent(t, h, "mute1"), "9000") {
			t.Error("its definition had to wait for that")
		}
		out := must(t, h, "fix", "--agent", "--all")
		wantSays(t, "fix --all", out, "nothing set inside: no guest agent is configured")
		r = virtMTU(t, h, "check", "--agent", "mute1")
		wantSays(t, "check's stderr", r.Stderr, `no guest agent is configured for "mute1": not asked`)
		if r.Exit != 1 { // needs-cold-start
			t.Errorf("check: exit %d\n%s", r.Exit, r.Stdout)
		}
	})
}

// liar is a guest agent that does what the file /mode says. It has the NIC with the
// number 1 at 1500.
const liar = `#!/bin/sh
exec 3<>/dev/agent
say() { printf '%s\n' "$1" >&3; }
big() { printf '{"return":"' >&3; head -c 10000000 /dev/zero | tr '\0' x >&3; printf '"}\n' >&3; }
links() { say '{"return":['"$1"']}'; }
link() { printf '{"name":"%s","hardware-address":"%s"}' "$1" "$2"; }
while :; do
	read -r line <&3 || { sleep 0.2; continue; } # nobody at the other end
	mode=$(cat /mode)
	case $line in
	*guest-sync*)
		[ "$mode" = hangs ] && continue
		id=${line##*\"id\":}
		id=${id%%\}*}
		say "{\"return\":$id}"
		continue
		;;
	esac
	case $mode:$line in
	silent:*) ;;
	garbage:*) say '}{ "return": garbage' ;;
	number:*) say '{"return":5}' ;;
	deep:*) yes '[' | head -n 100000 | tr -d '\n' >&3; say '' ;;
	big:*) big ;;
	*guest-get-osinfo*) say '{"return":{"id":"debian"}}' ;;
	wrong-mac:*interfaces*) links "$(link eth0 52:54:00:00:00:99)" ;;
	twins:*interfaces*) links "$(link eth0 52:54:00:00:00:01),$(link eth1 52:54:00:00:00:01)" ;;
	option:*interfaces*) links "$(link -h 52:54:00:00:00:01)" ;;
	shell:*interfaces*) links "$(link 'a;reboot' 52:54:00:00:00:01)" ;;
	*interfaces*) links "$(link eth0 52:54:00:00:00:01)" ;;
	*guest-file-open*uevent*) say '{"error":{"class":"GenericError","desc":"no"}}' ;;
	*guest-file-open*) say '{"return":7}' ;;
	*guest-file-read*) say '{"return":{"count":5,"eof":true,"buf-b64":"MTUwMAo="}}' ;;
	*guest-file-close*) say '{"return":{}}' ;;
	blocked:*guest-exec*) say '{"error":{"class":"CommandNotFound","desc":"Command guest-exec has been disabled"}}' ;;
	endless:*guest-exec-status*) say '{"return":{"exited":false}}' ;;
	127:*guest-exec-status*) say '{"return":{"exited":true,"exitcode":127}}' ;;
	*guest-exec-status*) say '{"return":{"exited":true,"exitcode":0}}' ;;
	*guest-exec*) say '{"return":{"pid":42}}' ;;
	esac
done
`

// An agent that misbehaves harms nothing, and keeps nobody else waiting.
func TestIntegrationAgentMisbehaves(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	const bad, good = "192.0.2.11", "192.0.2.12"
	h.Define(t, h.Domain(t, "bad1", nicOn("virtio", 1, ""), "agent", "ga=none", "gip="+bad))
	h.Define(t, h.Domain(t, "good1", nicOn("virtio", 2, ""), "agent", "gip="+good))
	start(t, h, "bad1")
	start(t, h, "good1")
	h.WaitBoot(t, "bad1")
	h.WaitBoot(t, "good1")
	answering(t, h, "good1")

	t.Run("nobody at the other end", func(t *testing.T) {
		r := virtMTU(t, h, "fix", "--agent", "bad1")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stderr", r.Stderr, "agent is not connected", "hint: in the guest: is qemu-guest-agent installed and running?")
	})

	file := filepath.Join(t.TempDir(), "liar")
	if err := os.WriteFile(file, []byte(liar), 0o755); err != nil {
		t.Fatal(err)
	}
	h.PutGuest(t, bad, file, "/liar")
	// begin starts it anew: libvirt gives an agent up that has sent garbage, until it closes
	// its port and opens it again; all that writes to that has to end first. That it is in step
	// with one it asks only once.
	begin := func(t *testing.T, mode string) {
		first := "good"
		if mode == "hangs" {
			first = mode
		}
		inGuest(t, h, bad, "sh", "-c", "echo "+first+" >/mode; while [ -e /pid ] && kill -9 -- -$(cat /pid); do sleep 0.2; done; rm -f /pid")
		inGuest(t, h, bad, "sh", "-c", "setsid sh -c 'echo $$ >/pid; exec /liar' >/dev/null 2>&1 </dev/null &")
		if first == mode {
			return
		}
		for range 100 {
			if h.Try(t, "virsh", "-q", "qemu-agent-command", "bad1", `{"execute":"guest-get-osinfo"}`).Exit == 0 {
				inGuest(t, h, bad, "sh", "-c", "echo "+mode+" >/mode")
				return
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Fatal("libvirt does not speak to the agent")
	}
	for _, tt := range []struct{ mode, says string }{
		{"hangs", "Guest agent is not responding"},
		{"silent", "Guest agent is not responding"},
		{"garbage", "agent"},
		{"number", "answers nonsense"},
		{"deep", "agent"},
		{"big", "agent"},
		{"wrong-mac", "knows no NIC with this MAC address"},
		{"twins", "which is the NIC cannot be told"},
		{"option", `called "-h", which is no name to go by`},
		{"shell", `called "a;reboot", which is no name to go by`},
		{"blocked", "has been disabled"},
		{"endless", "does not end in the guest: the guest takes too long"},
		{"127", "exit status 127"},
		{"lies", "it says yes, and has 1500"},
	} {
		t.Run(tt.mode, func(t *testing.T) {
			begin(t, tt.mode)
			inGuest(t, h, good, "ip", "link", "set", "eth0", "mtu", "1500")
			began := time.Now()
			r, res := fixJSON(t, h, "--agent", "--timeout", "4s", "bad1", "good1")
			if took := time.Since(began); took > time.Minute {
				t.Errorf("it took %v", took)
			}
			if len(r.Domains) != 2 || !strings.Contains(r.Domains[0].Error, tt.says) || len(r.Domains[0].Error) > 2000 {
				t.Errorf("%+v\n%s", r.Domains, res.Stderr)
			}
			if g := r.Domains[1]; g.Error != "" || g.Interfaces[0].GuestMTU != 9000 || guestMTU(t, h, good, "eth0") != 9000 {
				t.Errorf("the other guest: %+v", g)
			}
			if got := guestMTU(t, h, bad, "eth0"); got != 1500 || !hasMTU(persistent(t, h, "bad1"), "9000") {
				t.Errorf("the guest has %d; its definition:\n%s", got, persistent(t, h, "bad1"))
			}
			if reading := tt.mode != "127" && tt.mode != "endless" && tt.mode != "lies" && tt.mode != "blocked"; reading {
				r := virtMTU(t, h, "check", "--agent", "--timeout", "4s", "bad1")
				wantSays(t, "check", r.Stdout, "not-known", "guest agent")
			}
		})
	}
	if r := h.Run(t, "virsh", "-q", "list", "--name"); !strings.Contains(r, "bad1") || !strings.Contains(r, "good1") {
		t.Errorf("running: %s", r)
	}
}
