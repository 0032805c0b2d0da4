package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"virt-mtu/test/lab"
)

// probed is the JSON of probe, as the contract has it.
type probed struct {
	Target  string `json:"target"`
	Results []struct {
		Address string `json:"address"`
		Family  int    `json:"family"`
		Largest int    `json:"largest"`
		Sent    int    `json:"sent"`
		Limit   struct {
			Kind string `json:"kind"`
			From string `json:"from"`
			MTU  int    `json:"mtu"`
		} `json:"limit"`
		By string `json:"by"`
	} `json:"results"`
}

// probe runs probe -o json on one target; keys that the contract does not have fail the
// test. The lines are "address largest kind from mtu", of those from inside
// the guest with "guest: " before.
func probe(t testing.TB, h *lab.Host, args ...string) (lines string, res lab.Result) {
	t.Helper()
	res = virtMTU(t, h, append([]string{"probe", "-o", "json", "--wait", "3s"}, args...)...)
	var p probed
	d := json.NewDecoder(strings.NewReader(res.Stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&p); err != nil || d.More() {
		t.Fatalf("probe: %v\n%s%s", err, res.Stdout, res.Stderr)
	}
	var all []string
	for _, r := range p.Results {
		by := map[string]string{"host": "", "guest": "guest: "}
		if _, ok := by[r.By]; !ok {
			t.Errorf("by %q", r.By)
		}
		all = append(all, fmt.Sprintf("%s%s %d %s %s %d", by[r.By], r.Address, r.Largest, r.Limit.Kind, r.Limit.From, r.Limit.MTU))
		if want := 4 + 2*min(strings.Count(r.Address, ":"), 1); r.Family != want || r.Sent < 1 && r.Limit.Kind != "local" {
			t.Errorf("family or sent: %+v", r)
		}
	}
	return strings.Join(all, "\n"), res
}

func TestIntegrationProbe(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	const v4, v6 = "192.0.2.2", "fe80::5054:ff:fe00:1%br0"
	step := func(what string, exit int, want string, args ...string) lab.Result {
		t.Helper()
		got, res := probe(t, h, args...)
		if got != want || res.Exit != exit {
			t.Errorf("%s: exit %d, want %d\n%s\nwant\n%s\n%s", what, res.Exit, exit, got, want, res.Stderr)
		}
		return res
	}
	// libvirt needs no iptables for mode open.
	h.WriteFile(t, "/run/lab/lan.xml", "<network><name>lan</name><forward mode='open'/><bridge name='virbr7'/><ip address='198.51.100.1' prefix='24'><dhcp><range start='198.51.100.10' end='198.51.100.10'/></dhcp></ip></network>", 0o644)
	h.Run(t, "virsh", "-q", "net-define", "/run/lab/lan.xml")
	h.Run(t, "virsh", "-q", "net-start", "lan")
	define(t, h, "web1", nic("virtio", 9000)+"<interface type='network'><mac address='52:54:00:00:00:0a'/><source network='lan'/><model type='virtio'/></interface>")
	r := step("off", 1, "", "web1")
	wantSays(t, "stderr", r.Stderr, "does not run")
	h.Boot(t, "web1")
	tap := domainTap(t, h, "web1")

	r = virtMTU(t, h, "probe", "web1") // before anybody has spoken to it; the guest may have
	if r.Exit == 1 && !strings.Contains(r.Stderr, "no address of it is known here") {
		t.Errorf("not spoken to: %s%s", r.Stdout, r.Stderr)
	}
	h.Run(t, "ping", "-c", "1", "-W", "10", v4)
	h.Run(t, "ping", "-c", "1", "-W", "10", v6)
	both := func(limit string) string { return v4 + " " + limit + "\n" + v6 + " " + limit }
	step("by its name", 0, both("9000 local br0 9000"), "web1")
	step("domain:", 0, both("9000 local br0 9000"), "domain:web1")
	step("by its address", 0, v4+" 9000 local br0 9000", v4)
	step("what check computes", 0, both("9000 local br0 9000"), "--expect", "path", "web1")
	step("one size", 0, v4+" 9000 none  0", "--size", "9000", v4)
	step("one that is too large", 1, v4+" 0 local br0 9000", "--size", "9001", v4)

	// The bridge leaves room for a tag.
	h.Run(t, "ip", "link", "set", "dev", tap, "mtu", "1500")
	step("its tap is narrowed", 0, both("1504 blackhole  0"), "web1")
	r = virtMTU(t, h, "probe", "--expect", "9000", v4)
	wantSays(t, "stdout", r.Stdout, "1504 gets through, less than the 9000 that should", "vanish")
	if r.Exit != 1 {
		t.Errorf("--expect 9000: exit %d", r.Exit)
	}
	r = virtMTU(t, h, "probe", "--expect", "9000", "web1")
	wantSays(t, "stdout", r.Stdout, "most likely: tap "+tap+", with its MTU of 1500")
	step("check computes that", 0, both("1504 blackhole  0"), "--expect", "path", "web1")
	step("one size", 1, v4+" 0 blackhole  0", "--size", "9000", v4)
	h.Run(t, "ip", "link", "set", "dev", tap, "mtu", "9000")

	if g := h.Guest(t, v4, "ip", "link", "set", "eth0", "mtu", "1500"); g.Exit != 0 {
		t.Fatalf("in the guest: %+v", g)
	}
	step("the guest has lowered its own", 1, v4+" 1500 fragmented "+v4+" 1500\n"+v6+" 1500 fragmented "+v6+" 1500", "--expect", "path", "web1")
	r = virtMTU(t, h, "probe", "--expect", "path", "web1")
	wantSays(t, "stdout", r.Stdout, "52:54:00:00:00:01, neighbour table", "most likely: the guest itself: it works with an MTU of 1500")

	t.Run("a DHCP lease", func(t *testing.T) {
		const leased = "198.51.100.10"
		for _, command := range []string{"ip link set eth1 up", "udhcpc -i eth1 -n -q -t 10 -s /bin/true", "ip addr add " + leased + "/24 dev eth1"} {
			if g := h.Guest(t, v4, strings.Fields(command)...); g.Exit != 0 {
				t.Fatalf("in the guest: %s: %+v", command, g)
			}
		}
		r := virtMTU(t, h, "probe", "--wait", "3s", "web1")
		wantSays(t, "stdout", r.Stdout, leased+" (52:54:00:00:00:0a, DHCP lease): 1500 gets through: larger packets are refused here, virbr7 has an MTU of 1500")
		if r.Exit != 0 {
			t.Errorf("exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
		}
	})

	t.Run("somebody who is not root", func(t *testing.T) {
		as := []string{"setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--bounding-set", "-all", bin(t, "virt-mtu"), "probe", v4}
		h.Run(t, "sh", "-c", "echo '1 0' > /proc/sys/net/ipv4/ping_group_range")
		r := h.Try(t, as...)
		if r.Exit != 1 {
			t.Errorf("not admitted: exit %d\n%s", r.Exit, r.Stdout)
		}
		wantSays(t, "stderr", r.Stderr, "no permission", "hint: run this as root", "ping_group_range")
		h.Run(t, "sh", "-c", "echo '65534 65534' > /proc/sys/net/ipv4/ping_group_range")
		r = h.Try(t, as...)
		if r.Exit != 0 {
			t.Errorf("admitted: exit %d\n%s", r.Exit, r.Stderr)
		}
		wantSays(t, "stdout", r.Stdout, "1500 gets through: larger packets arrive, and are answered in fragments of an MTU of 1500")
	})

	destroy(t, h, "web1")
	step("the guest is gone", 1, v4+" 0 none  0", v4)

	define(t, h, "old1", strings.Replace(nic("e1000", 0), "00:01", "00:02", 1))
	h.Boot(t, "old1")
	h.Run(t, "ip", "neigh", "flush", "all")
	h.Run(t, "ping", "-c", "1", "-W", "10", v4)
	step("a guest that was told nothing", 0, v4+" 1500 fragmented "+v4+" 1500", v4)

	t.Run("hostile", func(t *testing.T) {
		for _, name := range []string{"no such\x1b[2Jdomain", "-web1", "domain:web9"} {
			r := virtMTU(t, h, "probe", "--", name)
			if r.Exit != 1 || strings.Contains(r.Stderr, "\x1b") || r.Stdout != "" {
				t.Errorf("%q: exit %d %q %q", name, r.Exit, r.Stdout, r.Stderr)
			}
		}
	})
}

// short drops IPv4 echo requests above 1500 bytes that come in by a link, for tc: a filter
// of the one direction only, which no MTU is. Answers to this host's own get through.
const short = "10,40 0 0 12,21 0 7 2048,48 0 0 23,21 0 5 1,48 0 0 34,21 0 3 8,40 0 0 16,37 0 1 1500,6 0 0 2,6 0 0 0"

// Both directions, by a real agent in a real guest.
func TestIntegrationProbeBack(t *testing.T) {
	t.Parallel()
	h := jumbo(t)
	const a, b = "192.0.2.11", "192.0.2.12"
	const link = "fe80::5054:ff:fe00:1%br0"
	h.Define(t, h.Domain(t, "ag1", nic("virtio", 9000), "agent", "gip="+a))
	h.Define(t, h.Domain(t, "mute1", strings.Replace(nic("virtio", 9000), "00:01", "00:02", 1), "gip="+b))
	start(t, h, "ag1")
	start(t, h, "mute1")
	h.WaitBoot(t, "ag1")
	h.WaitBoot(t, "mute1")
	answering(t, h, "ag1")
	tap := domainTap(t, h, "ag1")
	h.Run(t, "ping", "-c", "1", "-W", "10", a)
	h.Run(t, "ping", "-c", "1", "-W", "10", link)
	h.Run(t, "ping", "-c", "1", "-W", "10", b)
	own := ""
	for _, f := range strings.Fields(h.Run(t, "ip", "-6", "-o", "addr", "show", "dev", "br0", "scope", "link")) {
		if addr, ok := strings.CutSuffix(f, "/64"); ok {
			own = addr + "%eth0"
		}
	}
	step := func(what string, exit int, want []string, args ...string) lab.Result {
		t.Helper()
		got, res := probe(t, h, append([]string{"--agent"}, args...)...)
		if got != strings.Join(want, "\n") || res.Exit != exit {
			t.Errorf("%s: exit %d, want %d\n%s\nwant\n%s\n%s", what, res.Exit, exit, got, strings.Join(want, "\n"), res.Stderr)
		}
		return res
	}
	host := []string{a + " 9000 local br0 9000", link + " 9000 local br0 9000"}
	step("9000 both ways", 0, append(host, "guest: "+lab.Addr+" 9000 local the guest 9000", "guest: "+own+" 9000 local the guest 9000"), "ag1")
	step("one size", 0, []string{a + " 9000 none  0", link + " 9000 none  0", "guest: " + lab.Addr + " 9000 none  0", "guest: " + own + " 9000 none  0"}, "--size", "9000", "ag1")
	step("one that is too large", 1, []string{a + " 0 local br0 9000", link + " 0 local br0 9000", "guest: " + lab.Addr + " 0 local the guest 9000", "guest: " + own + " 0 local the guest 9000"}, "--size", "9001", "domain:ag1")
	r := virtMTU(t, h, "probe", "--agent", "ag1")
	wantSays(t, "stdout", r.Stdout, lab.Addr+" from inside the guest: 9000 gets through: larger packets are refused in the guest itself, by an MTU of 9000")

	t.Run("an address that only the guest knows", func(t *testing.T) {
		for _, addr := range []string{a, strings.TrimSuffix(link, "%br0")} {
			h.Run(t, "ip", "neigh", "del", addr, "dev", "br0")
		}
		r := virtMTU(t, h, "probe", "--agent", "--size", "9000", "ag1")
		if r.Exit != 0 {
			t.Errorf("exit %d\n%s", r.Exit, r.Stderr)
		}
		wantSays(t, "stdout", r.Stdout, a+" (52:54:00:00:00:01, guest agent): 9000 gets through", "from inside the guest: 9000 gets through")
		h.Run(t, "ping", "-c", "1", "-W", "10", a)
		h.Run(t, "ping", "-c", "1", "-W", "10", link)
	})

	t.Run("only the guest's direction is smaller", func(t *testing.T) {
		h.Run(t, "tc", "qdisc", "add", "dev", tap, "clsact")
		h.Run(t, "tc", "filter", "add", "dev", tap, "ingress", "bpf", "da", "bytecode", short)
		defer h.Run(t, "tc", "qdisc", "del", "dev", tap, "clsact")
		r := step("", 1, append(host, "guest: "+lab.Addr+" 1500 blackhole  0", "guest: "+own+" 9000 local the guest 9000"), "--expect", "path", "ag1")
		wantSays(t, "stderr", r.Stderr, "probe ag1: "+lab.Addr+" from inside the guest: 1500 gets through, less than the 9000 that should; most likely: a filter of what comes out of the guest")
		r = virtMTU(t, h, "probe", "--agent", "--size", "9000", "ag1")
		wantSays(t, "stdout", r.Stdout, a+" (52:54:00:00:00:01, neighbour table): 9000 gets through; 1 packet", "from inside the guest: 9000 does not get through: such packets vanish")
	})

	t.Run("the guest's own MTU is smaller", func(t *testing.T) {
		inGuest(t, h, a, "ip", "link", "set", "eth0", "mtu", "4000")
		step("", 1, []string{a + " 4000 fragmented " + a + " 4000", link + " 4000 fragmented " + link + " 4000",
			"guest: " + lab.Addr + " 4000 local the guest 4000", "guest: " + own + " 4000 local the guest 4000"}, "--expect", "9000", "ag1")
		r := virtMTU(t, h, "probe", "--agent", "--expect", "9000", "ag1")
		wantSays(t, "stdout", r.Stdout, "from inside the guest: 4000 gets through, less than the 9000", "most likely: the guest itself: it works with an MTU of 4000")
	})

	t.Run("its ping forbids no fragments", func(t *testing.T) {
		inGuest(t, h, a, "sh", "-c", "mv /bin/ping /bin/ping.iputils && ln -s busybox /bin/ping")
		defer inGuest(t, h, a, "mv", "/bin/ping.iputils", "/bin/ping")
		r := virtMTU(t, h, "probe", "--agent", "ag1")
		if r.Exit != 1 || !strings.Contains(r.Stdout, a) || strings.Contains(r.Stdout, "from inside") {
			t.Errorf("exit %d\n%s", r.Exit, r.Stdout)
		}
		wantSays(t, "stderr", r.Stderr, "cannot be done in this guest: its ping has no -M do")
	})

	t.Run("no agent", func(t *testing.T) {
		r := virtMTU(t, h, "probe", "--agent", "mute1")
		if r.Exit != 1 {
			t.Errorf("exit %d", r.Exit)
		}
		wantSays(t, "stdout", r.Stdout, b+" (52:54:00:00:00:02, neighbour table): 9000 gets through")
		wantSays(t, "stderr", r.Stderr, "no guest agent is configured", "hint: give the domain a <channel")
	})

	t.Run("not a domain", func(t *testing.T) {
		for _, target := range []string{a, link, "host:web1"} {
			r := virtMTU(t, h, "probe", "--agent", target)
			if r.Exit != 2 || r.Stdout != "" {
				t.Errorf("%s: exit %d %s", target, r.Exit, r.Stdout)
			}
			wantSays(t, "stderr", r.Stderr, "--agent asks the guest of a domain")
		}
		if r := virtMTU(t, h, "probe", "--agent", "localhost"); r.Exit != 1 || r.Stdout != "" {
			t.Errorf("a host's name: exit %d %s", r.Exit, r.Stdout)
		}
	})
}
