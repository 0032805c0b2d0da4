package e2e

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/test/lab"
)

// Networks of the tests are of mode open: libvirt sets up any other's bridge with
// iptables, which a host need not have.
const lanXML = `<network xmlns:dnsmasq='http://libvirt.org/schemas/network/dnsmasq/1.0'>
  <name>lan</name>
  <forward mode='open'/>
  <bridge name='virbr7' stp='off'/>
  <ip address='198.51.100.1' netmask='255.255.255.0'><dhcp><range start='198.51.100.10' end='198.51.100.99'/></dhcp></ip>
  <ip family='ipv6' address='fd00:7::1' prefix='64'><dhcp><range start='fd00:7::10' end='fd00:7::99'/></dhcp></ip>
</network>
`

func defineNetwork(t testing.TB, h *lab.Host, xml string) {
	t.Helper()
	h.WriteFile(t, "/run/lab/net.xml", xml, 0o644)
	h.Run(t, "virsh", "-q", "net-define", "/run/lab/net.xml")
}

// netDefinition is what the network's next start goes by.
func netDefinition(t testing.TB, h *lab.Host, name string) string {
	t.Helper()
	return h.Run(t, "virsh", "net-dumpxml", "--inactive", name)
}

// network is fix's JSON of one, as the contract has it.
type network struct {
	Name    string `json:"name"`
	UUID    string `json:"uuid"`
	State   string `json:"state"`
	Changed bool   `json:"changed"`
	Error   string `json:"error"`
	Bridge  string `json:"bridge"`
	Current int    `json:"current"`
	Target  int    `json:"target"`
	Reason  string `json:"reason"`
	Action  string `json:"action"`
	Pending string `json:"pending"`
}

// fixNetwork runs fix -o json --network and returns what it says of the first network, and
// of the domains.
func fixNetwork(t testing.TB, h *lab.Host, args ...string) (network, report, lab.Result) {
	t.Helper()
	res := virtMTU(t, h, slices.Concat([]string{"fix", "-o", "json", "--network"}, args)...)
	var r struct {
		report
		Networks []network `json:"networks"`
	}
	d := json.NewDecoder(strings.NewReader(res.Stdout))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil || len(r.Networks) == 0 {
		t.Fatalf("fix --network %s: %v\n%s%s", strings.Join(args, " "), err, res.Stdout, res.Stderr)
	}
	return r.Networks[0], r.report, res
}

// The definition: put in, taken out, and whose it is.
func TestIntegrationNetworkDefinition(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Bridge(t, "br0", 9000)
	h.Libvirtd(t, "start")

	t.Run("what it was told, exactly, and back", func(t *testing.T) {
		defineNetwork(t, h, strings.Replace(lanXML, "</name>", "</name><metadata><x:note xmlns:x='urn:example:1'>mine</x:note></metadata>", 1))
		h.Run(t, "virsh", "-q", "net-autostart", "lan")
		before := netDefinition(t, h, "lan")

		out := must(t, h, "fix", "--network", "lan", "--mtu", "9000", "--dry-run", "--diff")
		wantSays(t, "a dry run", out, "network lan (inactive): would change", "\n+  <mtu size='9000'/>\n")
		wantSame(t, "after a dry run", before, netDefinition(t, h, "lan"))

		got, _, _ := fixNetwork(t, h, "lan", "--mtu", "9000")
		want := network{Name: "lan", State: "inactive", Changed: true, Bridge: "virbr7", Target: 9000, Reason: "--mtu says 9000", Action: "inject", Pending: "none"}
		if d := cmp.Diff(want, got, cmpopts.IgnoreFields(network{}, "UUID")); d != "" || got.UUID == "" {
			t.Errorf("want-, got+:\n%s", d)
		}
		after := netDefinition(t, h, "lan")
		wantSame(t, "but for the mtu and the record", before, without(after, "<mtu ", "virt-mtu-owned"))
		if !hasMTU(after, "9000") {
			t.Error("no <mtu>")
		}
		if got, _, _ := fixNetwork(t, h, got.UUID); got.Changed || got.Action != "none" || got.Target != 9000 {
			t.Errorf("again, by its UUID and without a number: %+v", got)
		}
		wantSays(t, "net-info", h.Run(t, "virsh", "net-info", "lan"), "Autostart:      yes", "Persistent:     yes")
		must(t, h, "fix", "--network", "lan", "--undo")
		wantSame(t, "after undo", before, netDefinition(t, h, "lan"))
		if got, _, _ := fixNetwork(t, h, "lan", "--undo"); got.Changed || got.Action != "none" {
			t.Errorf("undone twice: %+v", got)
		}
		h.Run(t, "virsh", "-q", "net-undefine", "lan")
	})

	t.Run("what an admin wrote stays, unless forced, and comes back", func(t *testing.T) {
		defineNetwork(t, h, strings.Replace(lanXML, "stp='off'/>", "stp='off'/><mtu size='4000'/>", 1))
		before := netDefinition(t, h, "lan")
		if got, _, res := fixNetwork(t, h, "lan", "--mtu", "9000"); got.Action != "none" || got.Target != 4000 || res.Exit != 0 {
			t.Errorf("%+v, exit %d", got, res.Exit)
		}
		wantSame(t, "kept", before, netDefinition(t, h, "lan"))
		if got, _, _ := fixNetwork(t, h, "lan", "--mtu", "9000", "--force"); got.Action != "update" || got.Current != 4000 {
			t.Errorf("%+v", got)
		}
		if !hasMTU(netDefinition(t, h, "lan"), "9000") {
			t.Error("--force did not")
		}
		must(t, h, "fix", "--network", "lan", "--undo")
		wantSame(t, "after undo", before, netDefinition(t, h, "lan"))

		must(t, h, "fix", "--network", "lan", "--mtu", "9000", "--force")
		defineNetwork(t, h, strings.Replace(netDefinition(t, h, "lan"), "9000'/>\n  <mac", "5000'/>\n  <mac", 1))
		if got, _, _ := fixNetwork(t, h, "lan", "--mtu", "9000"); got.Action != "none" || got.Target != 5000 || !got.Changed {
			t.Errorf("changed by somebody since: %+v", got)
		}
		if now := netDefinition(t, h, "lan"); strings.Contains(now, "virt-mtu") || !hasMTU(now, "5000") {
			t.Errorf("not forgotten:\n%s", now)
		}
		h.Run(t, "virsh", "-q", "net-undefine", "lan")
	})

	t.Run("modes that take none", func(t *testing.T) {
		for mode, body := range map[string]string{
			"bridge":      "<forward mode='bridge'/><bridge name='br0'/>",
			"private":     "<forward mode='private'><interface dev='br0'/></forward>",
			"vepa":        "<forward mode='vepa'><interface dev='br0'/></forward>",
			"passthrough": "<forward mode='passthrough'><interface dev='br0'/></forward>",
			"hostdev":     "<forward mode='hostdev'><pf dev='br0'/></forward>",
		} {
			defineNetwork(t, h, "<network><name>"+mode+"</name>"+body+"</network>")
			before := netDefinition(t, h, mode)
			got, _, res := fixNetwork(t, h, mode, "--mtu", "9000")
			if res.Exit != 1 || got.Action != "refuse" || got.Changed || !strings.HasSuffix(got.Reason, "this one has "+mode) {
				t.Errorf("%s: exit %d, %+v", mode, res.Exit, got)
			}
			wantSays(t, mode, virtMTU(t, h, "fix", "--network", mode).Stdout, "network "+mode+" (inactive): refused", "hint: ")
			wantSame(t, mode, before, netDefinition(t, h, mode))
			// It is libvirt's rule: should it ever take one, this is to be told.
			h.WriteFile(t, "/run/lab/no.xml", strings.Replace(before, "</name>", "</name><mtu size='9000'/>", 1), 0o644)
			if r := h.Try(t, "virsh", "net-define", "/run/lab/no.xml"); r.Exit == 0 {
				t.Errorf("libvirt takes <mtu> in mode %s", mode)
			}
		}
	})

	t.Run("transient, and not there", func(t *testing.T) {
		h.WriteFile(t, "/run/lab/net.xml", "<network><name>tr</name><forward mode='open'/><bridge name='virbr8'/><ip address='203.0.113.1' netmask='255.255.255.0'/></network>", 0o644)
		h.Run(t, "virsh", "-q", "net-create", "/run/lab/net.xml")
		got, _, res := fixNetwork(t, h, "tr", "--mtu", "9000")
		if res.Exit != 1 || got.Action != "refuse" || h.MTU(t, "virbr8") != 1500 {
			t.Errorf("exit %d, %+v, bridge at %d", res.Exit, got, h.MTU(t, "virbr8"))
		}
		got, _, res = fixNetwork(t, h, "nope")
		if res.Exit != 1 || got.Error == "" {
			t.Errorf("exit %d, %+v", res.Exit, got)
		}
		wantSays(t, "stderr", res.Stderr, `virt-mtu: fix network nope: look up network "nope"`)
	})

	t.Run("a record that does not parse", func(t *testing.T) {
		defineNetwork(t, h, strings.Replace(lanXML, "</name>", "</name><metadata><o:nics xmlns:o='urn:virt-mtu:owned:1'/></metadata>", 1))
		before := netDefinition(t, h, "lan")
		got, _, res := fixNetwork(t, h, "lan", "--mtu", "9000")
		if res.Exit != 1 || got.Changed {
			t.Errorf("exit %d, %+v", res.Exit, got)
		}
		wantSays(t, "stderr", res.Stderr, "hint: virsh net-edit lan")
		wantSame(t, "lan", before, netDefinition(t, h, "lan"))
	})

	t.Run("usage", func(t *testing.T) {
		for _, args := range [][]string{
			{"--network", "lan", "web1"}, {"--network", "lan", "--all"}, {"--network", "lan", "--queued"},
			{"--network", "lan", "--undo", "--ignore"}, {"--network", "lan", "--mtu", "x"}, {"--mtu", "inherit", "web1"},
		} {
			if r := virtMTU(t, h, append([]string{"fix"}, args...)...); r.Exit != 2 {
				t.Errorf("%s: exit %d", strings.Join(args, " "), r.Exit)
			}
		}
	})
}

const guestLAN = "198.51.100.2"

// onLAN is a NIC on the network.
func onLAN(model, mac string) string {
	return fmt.Sprintf("<interface type='network'><mac address='%s'/><source network='lan'/><model type='%s'/></interface>", mac, model)
}

// udhcpcScript has the guest take what the DHCP server tells, as a distribution's would.
const udhcpcScript = "#!/bin/sh\ncase $1 in bound|renew) echo \"mtu=$mtu\"; [ -z \"$mtu\" ] || ip link set eth0 mtu $mtu;; esac\n"

// dhcp has the guest ask for an address and its MTU, and returns what it was told.
func dhcp(t testing.TB, h *lab.Host) string {
	t.Helper()
	h.WriteFile(t, "/run/lab/udhcpc", udhcpcScript, 0o755)
	h.PutGuest(t, guestLAN, h.Path("/run/lab/udhcpc"), "/bin/lease")
	r := h.Guest(t, guestLAN, "udhcpc", "-i", "eth0", "-f", "-n", "-q", "-t", "10", "-O", "mtu", "-s", "/bin/lease")
	if r.Exit != 0 {
		t.Fatalf("udhcpc: exit %d\n%s%s", r.Exit, r.Stdout, r.Stderr)
	}
	for line := range strings.Lines(r.Stdout) {
		if told, ok := strings.CutPrefix(strings.TrimSpace(line), "mtu="); ok {
			return told
		}
	}
	t.Fatalf("no lease:\n%s", r.Stdout)
	return ""
}

func guestFile(t testing.TB, h *lab.Host, path string) string {
	t.Helper()
	return strings.TrimSpace(h.Guest(t, guestLAN, "cat", path).Stdout)
}

// routerSays waits until the guest goes by an MTU that router advertisements name.
func routerSays(t testing.TB, h *lab.Host, mtu string) {
	t.Helper()
	has := ""
	for range 60 {
		if has = guestFile(t, h, "/proc/sys/net/ipv6/conf/eth0/mtu"); has == mtu {
			return
		}
		// The kernel asks for an advertisement when a link comes up.
		h.Guest(t, guestLAN, "sh", "-c", "ip link set eth0 down; ip link set eth0 up")
		time.Sleep(2 * time.Second)
	}
	t.Errorf("IPv6 in the guest at %s, want %s", has, mtu)
}

// A network that runs, with a guest that asks its DHCP server: what changes at once, what
// waits, and what its next start brings.
func TestIntegrationNetworkRunning(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Bridge(t, "br1", 9000)
	h.Libvirtd(t, "start")
	defineNetwork(t, h, lanXML)
	h.Run(t, "virsh", "-q", "net-start", "lan")
	define(t, h, "web1", onLAN("virtio", "52:54:00:00:00:03")+strings.Replace(nic("virtio", 0), "br0", "br1", 1))
	define(t, h, "other1", strings.Replace(nic("virtio", 0), "br0", "br1", 1))
	h.Define(t, h.Domain(t, "old1", onLAN("e1000", "52:54:00:00:00:02"), "gip="+guestLAN))
	h.Boot(t, "old1")
	if told := dhcp(t, h); told != "" {
		t.Fatalf("DHCP tells %q without an <mtu>", told)
	}
	codes, _, _, _ := checked(t, h, "old1", "old1")
	if codes != "" {
		t.Errorf("all at 1500: %s", codes)
	}

	dry, r, _ := fixNetwork(t, h, "lan", "--mtu", "9000", "--dry-run")
	if dry.Action != "inject" || h.MTU(t, "virbr7") != 1500 || hasMTU(netDefinition(t, h, "lan"), "9000") {
		t.Errorf("a dry run: %+v", dry)
	}
	targets := func(r report) map[string]string {
		out := map[string]string{}
		for _, d := range r.Domains {
			for k, i := range d.Interfaces {
				out[fmt.Sprint(d.Name, " ", k)] = fmt.Sprint(i.Action, " ", i.Target)
			}
		}
		return out
	}
	want := map[string]string{"web1 0": "inject 9000", "web1 1": "skip 0", "old1 0": "inject 9000"}
	if d := cmp.Diff(want, targets(r)); d != "" {
		t.Errorf("a dry run, the guests, want-, got+:\n%s", d)
	}

	got, r, res := fixNetwork(t, h, "lan", "--mtu", "9000")
	if got.Action != "inject" || !got.Changed || got.State != "active" || got.Pending != "net-start" || res.Exit != 0 {
		t.Errorf("exit %d, %+v\n%s", res.Exit, got, res.Stderr)
	}
	if d := cmp.Diff(want, targets(r)); d != "" {
		t.Errorf("the guests, want-, got+:\n%s", d)
	}
	tap := domainTap(t, h, "old1")
	if h.MTU(t, "virbr7") != 9000 || h.MTU(t, tap) != 9000 {
		t.Errorf("bridge at %d, tap at %d", h.MTU(t, "virbr7"), h.MTU(t, tap))
	}
	if d := persistent(t, h, "web1"); strings.Count(d, "<mtu ") != 1 || !hasMTU(d, "9000") {
		t.Errorf("web1 is to have one <mtu>:\n%s", d)
	}
	if hasMTU(h.Run(t, "virsh", "net-dumpxml", "lan"), "9000") {
		t.Error("the running network has the number: then nothing would wait")
	}
	out := must(t, h, "fix", "--network", "lan")
	wantSays(t, "fix again", out, "network lan (active): nothing to do", "its DHCP server tells no MTU (option 26)", "virsh net-destroy lan && virsh net-start lan")
	if told := dhcp(t, h); told != "" {
		t.Errorf("DHCP tells %q already: then it does not wait", told)
	}
	codes, path, _, res := checked(t, h, "old1", "old1")
	if !strings.HasPrefix(codes, "guest-not-told needs-cold-start") || res.Exit != 1 || !strings.Contains(path, "network lan 0, bridge virbr7 9000") {
		t.Errorf("check: %q, %s, exit %d\n%s", codes, path, res.Exit, res.Stdout)
	}
	wantSays(t, "check", res.Stdout, "the definition of network lan has <mtu size='9000'/>")

	// What router advertisements say does not wait: the guest at 9000 hears of a bridge at
	// less.
	h.Guest(t, guestLAN, "ip", "link", "set", "eth0", "mtu", "9000")
	routerSays(t, h, "9000")
	if got, _, _ := fixNetwork(t, h, "lan", "--mtu", "4000"); got.Action != "update" || h.MTU(t, "virbr7") != 9000 {
		t.Errorf("lowered, its bridge not: %+v, bridge at %d", got, h.MTU(t, "virbr7"))
	}
	if got, _, _ := fixNetwork(t, h, "lan", "--mtu", "4000", "--lower"); !got.Changed || h.MTU(t, "virbr7") != 4000 {
		t.Errorf("lowered, its bridge too: %+v, bridge at %d", got, h.MTU(t, "virbr7"))
	}
	routerSays(t, h, "4000")
	must(t, h, "fix", "--network", "lan", "--mtu", "9000")

	// The next start: DHCP tells the number, to guests that run on once libvirt has
	// plugged their taps in again, which its daemon does when it starts.
	h.Run(t, "virsh", "-q", "net-destroy", "lan")
	h.Run(t, "virsh", "-q", "net-start", "lan")
	if h.Exists("/sys/class/net/" + tap + "/master") {
		t.Error("the tap has a bridge again: fix says that it has none")
	}
	h.Libvirtd(t, "restart")
	for range 100 {
		if h.Exists("/sys/class/net/" + tap + "/master") {
			break
		}
		time.Sleep(100 * time.Millisecond)
	}
	if got, _, _ := fixNetwork(t, h, "lan"); got.Pending != "none" || got.Changed || got.Target != 9000 {
		t.Errorf("started anew: %+v", got)
	}
	if h.MTU(t, "virbr7") != 9000 {
		t.Errorf("bridge at %d", h.MTU(t, "virbr7"))
	}
	if told := dhcp(t, h); told != "9000" {
		t.Errorf("DHCP tells %q", told)
	}
	if mtu := guestFile(t, h, "/sys/class/net/eth0/mtu"); mtu != "9000" {
		t.Errorf("the guest has %s", mtu)
	}
	if !h.Ping(t, guestLAN, 9000) {
		t.Error("9000 bytes do not get to the guest and back")
	}
	codes, _, _, res = checked(t, h, "old1", "old1")
	if codes != "needs-cold-start waits-for-guest" {
		t.Errorf("check: %q\n%s", codes, res.Stdout)
	}

	t.Run("undo takes out of the network and of its guests", func(t *testing.T) {
		got, r, _ := fixNetwork(t, h, "lan", "--undo")
		if got.Action != "remove" || got.Pending != "net-start" || h.MTU(t, "virbr7") != 9000 {
			t.Errorf("%+v, bridge at %d", got, h.MTU(t, "virbr7"))
		}
		if len(r.Domains) != 2 || strings.Contains(persistent(t, h, "web1")+persistent(t, h, "old1")+netDefinition(t, h, "lan"), "<mtu ") {
			t.Errorf("%+v", r)
		}
	})
}

// An option 26 or an RA MTU of the admin's own: the last one wins in dnsmasq, and check
// finds it.
func TestIntegrationNetworkOwnOptions(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Libvirtd(t, "start")
	xml := strings.Replace(lanXML, "stp='off'/>", "stp='off'/><mtu size='9000'/>", 1)
	defineNetwork(t, h, strings.Replace(xml, "</network>", "<dnsmasq:options><dnsmasq:option value='dhcp-option=26,1400'/>"+
		"<dnsmasq:option value='ra-param=virbr7,mtu:2000,0'/></dnsmasq:options></network>", 1))
	h.Run(t, "virsh", "-q", "net-start", "lan")
	h.Define(t, h.Domain(t, "old1", onLAN("e1000", "52:54:00:00:00:02"), "gip="+guestLAN, "setmtu=9000"))
	h.Boot(t, "old1")
	routerSays(t, h, "2000")
	if told := dhcp(t, h); told != "1400" {
		t.Errorf("DHCP tells %q", told)
	}
	r := virtMTU(t, h, "check", "old1")
	wantSays(t, "check", r.Stdout, "the DHCP server of network lan tells 1400 (option 26), but 9000 is what is carried there",
		"router advertisements on network lan say 2000", "virsh net-edit lan")
	// What dnsmasq was told counts, whatever the XML says.
	h.Run(t, "sed", "-i", "/26,1400/d; /ra-param/d", "/var/lib/libvirt/dnsmasq/lan.conf")
	if r := virtMTU(t, h, "check", "old1"); strings.Contains(r.Stdout, "peer-mismatch") {
		t.Errorf("check:\n%s", r.Stdout)
	}
}

// Somebody works on the definition while fix does.
func TestIntegrationNetworkMeanwhile(t *testing.T) {
	t.Parallel()
	h := lab.New(t)
	h.Libvirtd(t, "start")
	// looked runs fix, and something else right before its last look at the definition.
	looked := func(then func(), args ...string) (network, lab.Result) {
		t.Helper()
		came := false
		uri := between(t, h, procNetworkLookupByUUID, 1, func() bool {
			came = true
			then()
			return true
		})
		got, _, res := fixNetwork(t, h, append([]string{"lan", "--timeout", ample, "--connect", uri}, args...)...)
		if !came {
			t.Fatalf("it did not look again: %s%s", res.Stdout, res.Stderr)
		}
		return got, res
	}
	define := func(old, new string) func() {
		return func() { defineNetwork(t, h, strings.Replace(netDefinition(t, h, "lan"), old, new, 1)) }
	}

	defineNetwork(t, h, lanXML)
	got, res := looked(define("<bridge ", "<domain name='lan.example'/><bridge "), "--mtu", "9000")
	xml := netDefinition(t, h, "lan")
	if res.Exit != 0 || got.Action != "inject" || !hasMTU(xml, "9000") || !strings.Contains(xml, "<domain name='lan.example'/>") {
		t.Errorf("their change and ours: exit %d, %+v\n%s", res.Exit, got, xml)
	}
	got, res = looked(define("<mtu size='9000'/>", "<mtu size='5000'/>"), "--mtu", "4000")
	if xml = netDefinition(t, h, "lan"); res.Exit != 0 || got.Action != "none" || got.Target != 5000 || !hasMTU(xml, "5000") || strings.Contains(xml, "virt-mtu") {
		t.Errorf("their number: exit %d, %+v\n%s", res.Exit, got, xml)
	}
	got, res = looked(func() { h.Run(t, "virsh", "-q", "net-undefine", "lan") }, "--mtu", "4000", "--force")
	if list := h.Run(t, "virsh", "-q", "net-list", "--all", "--name"); res.Exit != 1 || got.Error == "" || strings.Contains(list, "lan") {
		t.Errorf("undefined: exit %d, %+v\n%s", res.Exit, got, list)
	}

	// The daemon ends right before it would be defined.
	defineNetwork(t, h, lanXML)
	before := netDefinition(t, h, "lan")
	uri := between(t, h, procNetworkDefineXML, 1, func() bool { return false })
	got, _, res = fixNetwork(t, h, "lan", "--mtu", "9000", "--connect", uri)
	if res.Exit != 1 || got.Error == "" || got.Changed {
		t.Errorf("lost: exit %d, %+v", res.Exit, got)
	}
	wantSame(t, "lost", before, netDefinition(t, h, "lan"))
}
