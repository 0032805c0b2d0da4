package main

import (
	"bytes"
	"encoding/xml"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/policy"
	"virt-mtu/test/netns"
)

// Whoever may define a guest writes <target dev> as he likes. What is not a tap in
// the bridge that the NIC names keeps its MTU, at every operation that sets taps.
func TestIntegrationForeignTargets(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo+`
			link add br1 type bridge
			tuntap add vnet1 mode tap
			link set vnet1 master br1
			tuntap add loose mode tap
			tuntap add tun0 mode tun
			link add up1 type veth peer name wire1
			link set up1 master br0
			link add mv0 link wire1 type macvtap mode bridge
			link property add dev vnet0 altname other`)
		before := mtus(t)
		for name, n := range map[string]nic{
			"its own bridge":             {target: "br0"},
			"another bridge":             {target: "br1"},
			"an uplink":                  {target: "up1"},
			"a veth's other end":         {target: "wire0"},
			"lo":                         {target: "lo"},
			"a tap of another bridge":    {target: "vnet1"},
			"a tap of its own, but":      {target: "vnet0", source: "bridge='br1'", mtu: mtu9000},
			"a tap of no bridge":         {target: "loose"},
			"no tap":                     {target: "tun0"},
			"a macvtap":                  {target: "mv0"},
			"an alternative name":        {target: "other"},
			"a path":                     {target: "../../x"},
			"a path to a tap":            {target: "../net/vnet0"},
			"a path to a tap, absolute":  {target: "/sys/class/net/vnet0"},
			"a link that is a folder":    {target: "."},
			"an option":                  {target: "-all"},
			"too long":                   {target: strings.Repeat("v", 4096)},
			"with an end":                {target: "vnet0&#10;"},
			"with a space":               {target: " vnet0"},
			"a bridge that is a path":    {target: "vnet0", source: "bridge='../../../etc'"},
			"a bridge by another way":    {target: "vnet0", source: "bridge='vnet1/../br0'"},
			"a bridge that is a tap":     {target: "vnet0", source: "bridge='vnet0'"},
			"a bridge that is an uplink": {target: "vnet0", source: "bridge='up0'"},
			"a bridge of two lines":      {target: "vnet0", source: "bridge='br0&#10;x'"},
			"a bridge too long":          {target: "vnet0", source: "bridge='" + strings.Repeat("b", 1<<20) + "'"},
			"no bridge":                  {target: "vnet0", source: "bridge=''"},
			"a network that is a path":   {target: "vnet0", kind: "network", source: "network='../../../../etc/passwd'"},
		} {
			t.Run(name, func(t *testing.T) {
				for _, op := range []string{"start", "started", "reconnect"} {
					r := h.run(t, described("", n), "web1", op, "begin", "-")
					r.wantQuiet(t)
					if all := strings.Join(r.log, "\n"); !strings.Contains(all, "left") {
						t.Errorf("%s: not in the log: %q", op, r.log)
					}
					wantPlain(t, r)
				}
				if diff := cmp.Diff(before, mtus(t)); diff != "" {
					t.Fatalf("-before +after:\n%s", diff)
				}
			})
		}
	})
}

// A name is shown as what it is: it starts no line of its own in the log or in
// virsh, and does nothing to a terminal.
func TestIntegrationNames(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo+"\nlink set vnet0 mtu 9000") // so that there is one thing to say
		for name, s := range map[string]string{
			"new lines":        "web1\nAug  1 00:00:00 host sshd[1]: Accepted\r\nx",
			"quotes":           `we"b'1` + "`",
			"255 bytes":        strings.Repeat("w", 255),
			"an option":        "--help",
			"an option, short": "-",
			"a shell's":        "$(reboot); reboot & <x>",
			"verbs":            "%s%n%!d(MISSING)",
			"a terminal's":     "\x1b[2J\x07\x7f\b",
			"C1":               "a\u0085b\u009b2J",
			"other line ends":  "a\u2028b\u2029c",
			"right to left":    "a\u202egnp.exe",
			"no UTF-8":         "a\xff\xfe\xc3",
			"empty":            "",
			"a path":           "../../etc/passwd",
			"huge":             strings.Repeat("w\n", 60_000),
		} {
			t.Run(name, func(t *testing.T) {
				var inXML bytes.Buffer
				must(t, xml.EscapeText(&inXML, []byte(s)))
				for _, doc := range []string{cannot, named(inXML.String(), "", nic{target: "vnet0", model: "rtl8139"})} {
					for _, op := range []string{"prepare", "start"} {
						r := h.run(t, doc, s, op, "begin", "-")
						wantPlain(t, r)
						r.wantRefusal(t, "model rtl8139 carries at most 1500", "virsh edit ")
						r.wantLog(t, ": "+op+": refused: ")
					}
					r := h.run(t, "none", s, "started", "begin", "-")
					r.wantQuiet(t)
					wantPlain(t, r)
					r.wantLog(t, ": started: nothing done: ")
				}
				if s == "--help" || s == "-" { // where somebody pastes the hint
					r := h.run(t, named(s, "", nic{model: "rtl8139"}), s, "prepare", "begin", "-")
					r.wantRefusal(t, "rtl8139", "virsh edit -- "+s+")")
				}
			})
		}
	})
}

// What XML says of models, bridges and networks reaches the log and virsh too.
func TestIntegrationWords(t *testing.T) {
	const words = "a&#10;b\u0085\u202e%s"
	onHost(t, func(t *testing.T, h *host) {
		for name, n := range map[string]nic{
			"bridge":       {source: "bridge='" + words + "'"},
			"Open vSwitch": {source: "bridge='" + words + "'", port: "openvswitch"},
			"network":      {kind: "network", source: "network='" + words + "'"},
			"model":        {model: words},
			"type":         {kind: words},
			"mac":          {mac: words},
			"mtu":          {mtu: "<mtu size='" + words + "'/>"},
		} {
			t.Run(name, func(t *testing.T) {
				h.reset(t)
				netns.IP(t, jumbo)
				config(t, "uninjected = 'refuse'")
				n.target = "vnet0"
				missing := nic{mac: "52:54:00:00:00:02"} // so that all of the note goes to virsh
				for _, op := range []string{"start", "migrate", "reconnect"} {
					r := h.run(t, domain(n, missing), "web1", op, "begin", "-")
					wantPlain(t, r)
					if op == "start" && name != "mac" && name != "mtu" {
						r.wantRefusal(t, "52:54:00:00:00:02 lacks <mtu size='9000'/>", "virt-mtu fix web1")
					} else {
						r.wantQuiet(t)
					}
				}
				note := queued(t)
				if strings.Count(note, "\n") > 1 {
					t.Errorf("queued: %q", note)
				}
			})
		}
	})
}

// wantPlain checks that what is shown holds nothing but its own lines, and no line
// that a syslog daemon would cut or drop.
func wantPlain(t *testing.T, r result) {
	t.Helper()
	for _, line := range append(strings.Split(r.stderr, "\n"), r.log...) {
		if i := strings.IndexFunc(line, func(c rune) bool {
			return c < ' ' || 0x7f <= c && c < 0xa0 || c == '\u2028' || c == '\u2029' || c == '\u202e'
		}); i >= 0 {
			t.Errorf("%q at %d in %.300q", line[i], i, line)
		}
		if len(line) > 2048 {
			t.Errorf("a line of %d bytes: %.100q...", len(line), line)
		}
	}
}

// XML that is none of libvirt's ends in exit 0, one log line, and nothing done.
func TestIntegrationBadXML(t *testing.T) {
	good := domain(nic{target: "vnet0"})
	with := func(old, new string) string { return strings.Replace(good, old, new, 1) }
	size := func(s string) string {
		return domain(nic{target: "vnet0", mtu: "<mtu size='" + s + "'/>"})
	}
	var laughs strings.Builder
	laughs.WriteString("<!DOCTYPE domain [<!ENTITY a0 'ha'>")
	for i := range 20 {
		fmt.Fprintf(&laughs, "<!ENTITY a%d '%s'>", i+1, strings.Repeat(fmt.Sprintf("&a%d;", i), 10))
	}
	laughs.WriteString("]>")
	docs := map[string]io.Reader{}
	for name, doc := range map[string]string{
		"empty":                "",
		"white":                " \n\t ",
		"not XML":              "web1 is a nice guest",
		"binary":               "\x7fELF\x02\x01\x01\x00\x00",
		"JSON":                 `{"domain": "web1"}`,
		"half":                 good[:len(good)/2],
		"half a tag":           good[:strings.Index(good, "<uuid")+3],
		"two roots":            good + good,
		"rubbish after":        good + "x",
		"a DOCTYPE":            "<!DOCTYPE domain>" + good,
		"an entity":            laughs.String() + with("web1", "&a20;"),
		"a file as entity":     "<!DOCTYPE domain [<!ENTITY x SYSTEM 'file:///etc/passwd'>]>" + with("web1", "&x;"),
		"no such entity":       with("web1", "&nbsp;"),
		"Latin-1":              "<?xml version='1.0' encoding='ISO-8859-1'?>" + with("web1", "b\xe4r"),
		"Latin-1, not said":    with("web1", "b\xe4r"),
		"UTF-16":               "\xff\xfe<\x00d\x00o\x00m\x00a\x00i\x00n\x00/\x00>\x00",
		"a NUL":                with("web1", "we\x00b1"),
		"a network":            "<network><name>lan</name></network>",
		"another's domain":     with("<domain", "<domain xmlns='urn:x'"),
		"attributes twice":     with("type='kvm'", "type='kvm' type='qemu'"),
		"nested too deep":      strings.Repeat("<domain>", 100_000),
		"one long name":        "<" + strings.Repeat("d", 1<<20) + ">",
		"no UUID":              with(uuid, "../../x"),
		"a UUID and more":      with(uuid, uuid+"/../../x"),
		"mtu 1":                size("1"),
		"mtu 67":               size("67"),
		"mtu 65536":            size("65536"),
		"mtu 99999999999":      size("99999999999"),
		"mtu -1":               size("-1"),
		"mtu +9000":            size("+9000"),
		"mtu 0x2328":           size("0x2328"),
		"mtu 9000.0":           size("9000.0"),
		"mtu nine":             size("nine"),
		"mtu twice":            domain(nic{target: "vnet0", mtu: mtu9000 + mtu9000}),
		"mtu twice, different": domain(nic{target: "vnet0", mtu: mtu9000 + mtu1500}),
		"metadata misspelt":    described(strings.Replace(ignored, "'ignore'", "'ingore'", 1), nic{target: "vnet0"}),
		"record not ours":      described("<o:owned xmlns:o='urn:virt-mtu:owned:1'><o:what/></o:owned>", nic{target: "vnet0"}),
	} {
		docs[name] = strings.NewReader(doc)
	}
	docs["64 MiB"] = io.MultiReader(strings.NewReader(good[:len("<domain type='kvm'>")]), io.LimitReader(endless("<!-- x -->"), 64<<20), strings.NewReader("</domain>"))
	docs["without end"] = io.MultiReader(strings.NewReader("<domain>"), endless("<a/>"))
	docs["white without end"] = endless(" ")
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		for name, doc := range docs {
			t.Run(name, func(t *testing.T) {
				for _, op := range []string{"prepare", "start", "reconnect"} {
					if s, ok := doc.(io.Seeker); ok {
						_, err := s.Seek(0, io.SeekStart)
						must(t, err)
					}
					r := h.runCmd(t, hookCmd(doc, "web1", op, "begin", "-"))
					r.wantQuiet(t)
					r.wantLog(t, `domain "web1": `+op+": nothing done: ")
					wantPlain(t, r)
					if r.took > slow {
						t.Errorf("%s took %v", op, r.took)
					}
				}
				wantMTU(t, "vnet0", 1500)
				if queued(t) != "" || marked(t) {
					t.Error("something was kept")
				}
			})
		}
	})
}

// endless says the same again and again.
type endless string

func (e endless) Read(p []byte) (int, error) {
	for n := 0; n < len(p); {
		n += copy(p[n:], e)
	}
	return len(p), nil
}

// A domain as large as libvirt lets it be, with more NICs than anybody has.
func TestIntegrationManyNICs(t *testing.T) {
	onHost(t, func(t *testing.T, h *host) {
		h.reset(t)
		netns.IP(t, jumbo)
		var nics []nic
		for i := range 10_000 {
			nics = append(nics, nic{
				kind: "network", source: fmt.Sprintf("network='net%d' bridge='br%d'", i, i),
				mac: fmt.Sprintf("52:54:00:00:%02x:%02x", i>>8, i&0xff), target: fmt.Sprintf("vnet%d", i),
			})
		}
		must(t, os.MkdirAll("/run/libvirt/network", 0o755))
		for i := range 100 {
			write(t, fmt.Sprintf("/run/libvirt/network/other%d.xml", i), "<network/>")
		}
		// Nobody reads the log meanwhile: it overflows, and that holds nothing up.
		r := start(t, hookCmd(strings.NewReader(domain(nics...)), "web1", "start", "begin", "-"))
		h.lines(t)
		r.wantQuiet(t)
		if r.took > slow {
			t.Errorf("took %v", r.took)
		}
		if _, err := os.Stat(policy.DefaultPath); err == nil {
			t.Error("there is a config file")
		}
	})
}
