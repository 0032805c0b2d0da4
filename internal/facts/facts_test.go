package facts

import (
	"bytes"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
)

var update = flag.Bool("update", false, "write testdata/*.json anew")

// full has something of everything, nothing of it in order.
func full() Facts {
	tunnel := &host.Tunnel{Family: 4, Key: true, OptionBytes: 8, Local: "192.0.2.1", Remotes: []host.Remote{
		{Address: "192.0.2.3", Underlay: "eth0", MTU: 1400}, {Address: "192.0.2.2", Underlay: "eth0"}}}
	return Facts{
		Version: Version,
		Snapshot: host.Snapshot{
			Host: "kvm1",
			Links: []host.Link{
				{Name: "vnet1", Index: 9, MTU: 9000, Kind: "tun", Tap: true, Master: "br0"},
				{Name: "vxlan7", Index: 5, MTU: 1450, Kind: "vxlan", Tunnel: tunnel},
				{Name: "lo", Index: 1, MTU: 65536, Kind: "loopback"},
				{Name: "wg0", Index: 6, MTU: 1420, Kind: "wireguard", Tunnel: &host.Tunnel{Family: 6}},
			},
			Networks: []host.Network{{Name: "lan", Bridge: "br0", Forward: "bridge"}, {Name: "default", Bridge: "virbr0", Forward: "nat", Inactive: true}},
			OVS: &host.OVS{Bridges: []host.OVSBridge{
				{Name: "br-tun", Datapath: "system", Ports: []host.OVSPort{
					{Name: "gre1", Interfaces: []host.OVSInterface{{Name: "gre1", Type: "gre", Tunnel: tunnel}}},
					{Name: "bond1", Tag: 7, Interfaces: []host.OVSInterface{{Name: "eth3"}, {Name: "eth2", MTU: 9000, MTURequest: 9000, TxErrors: 3}}},
					{Name: "none"},
				}},
				{Name: "br-int"},
			}},
			PCI:    []host.PCI{{Address: "0000:03:10.2", PF: "0000:03:00.0"}, {Address: "0000:03:00.0", Link: "eth1"}},
			Unread: []string{"second thing", "first thing"},
		},
		Hook: []finding.Finding{finding.New(finding.HookMissing, "libvirt does not run virt-mtu", "virt-mtu hook install")},
		Domains: []Domain{
			{Name: "web1", UUID: "4dea22b3-1d52-d8f3-2516-782e98ab3fa0", State: "running",
				PersistentXML: "<domain>\n  <name>web1</name>\n</domain>\n", LiveXML: "<domain>&amp;\"</domain>",
				Guests: []Guest{{MAC: "52:54:00:00:00:02", MTU: 1500}, {MAC: "52:54:00:00:00:01", MTU: 9000}}},
			{Name: "db1", UUID: "00000000-0000-0000-0000-000000000002", State: "shut off", SavedXML: "<domain/>"},
			{Name: "db1", UUID: "00000000-0000-0000-0000-000000000001", Error: "libvirt did not answer within 10s"},
		},
	}
}

func TestEncode(t *testing.T) {
	for name, f := range map[string]Facts{"full": full(), "empty": {Version: Version}} {
		got := encode(t, f)
		golden := "testdata/" + name + ".json"
		if *update {
			if err := os.WriteFile(golden, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
		for _, line := range strings.Split(string(got), "\n") {
			if key := strings.TrimSpace(line); strings.Contains(line, "null") && key != `"ovs": null,` && key != `"tunnel": null,` {
				t.Errorf("%s: %s", name, key)
			}
		}
		back, err := Decode(bytes.NewReader(got))
		if diff := cmp.Diff(f, back, cmpopts.EquateEmpty()); err != nil || diff != "" {
			t.Errorf("%s: Decode: %v (-encoded +decoded):\n%s", name, err, diff)
		}
	}
}

// TestEncodeOrder: the order in which things were found does not show.
func TestEncodeOrder(t *testing.T) {
	f := full()
	reverse := full()
	flip(reverse.Links)
	flip(reverse.Networks)
	flip(reverse.PCI)
	flip(reverse.OVS.Bridges)
	flip(reverse.OVS.Bridges[1].Ports)
	flip(reverse.OVS.Bridges[1].Ports[1].Interfaces)
	flip(reverse.Links[2].Tunnel.Remotes)
	flip(reverse.Domains)
	flip(reverse.Domains[2].Guests)
	if diff := cmp.Diff(string(encode(t, f)), string(encode(t, reverse))); diff != "" {
		t.Errorf("one way -, the other +:\n%s", diff)
	}
}

func flip[T any](list []T) {
	for i, j := 0, len(list)-1; i < j; i, j = i+1, j-1 {
		list[i], list[j] = list[j], list[i]
	}
}

func TestDecode(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     Facts
	}{
		{"nothing but a version", ` {"version":1}` + "\r\n\t ", Facts{Version: 1}},
		{"what is not known", `{"version":1,"later":{"a":[1]},"host":"kvm1","links":[{"name":"lo","color":"red"}],"domains":[{"name":"a","xml":null}]}`,
			Facts{Version: 1, Snapshot: host.Snapshot{Host: "kvm1", Links: []host.Link{{Name: "lo"}}}, Domains: []Domain{{Name: "a"}}}},
		{"other spellings, as encoding/json reads them", `{"Version":1,"LINKS":[{"Name":"gre1","tunnel":{"Remotes":[{"Address":"192.0.2.1"}]}}]}`,
			Facts{Version: 1, Snapshot: host.Snapshot{Links: []host.Link{{Name: "gre1", Tunnel: &host.Tunnel{Remotes: []host.Remote{{Address: "192.0.2.1"}}}}}}}},
		{"null for nothing", `{"version":1,"links":null,"ovs":null,"hook":null,"host":null}`, Facts{Version: 1}},
	} {
		got, err := Decode(strings.NewReader(tt.in))
		if diff := cmp.Diff(tt.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v (-want +got):\n%s", tt.name, err, diff)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tt := range []struct{ name, in, want string }{
		{"empty", " \n", "the input is empty"},
		{"a list", "[]", "the input is not a JSON object, as virt-mtu facts writes it"},
		{"a string", `"x"`, "the input is not a JSON object, as virt-mtu facts writes it"},
		{"domain XML", "<domain/>", "the input is not a JSON object, as virt-mtu facts writes it"},
		{"no version", "{}", "there is no version in the input: this virt-mtu reads version 1, as virt-mtu facts writes it"},
		{"version null", `{"version":null}`, "there is no version in the input: this virt-mtu reads version 1, as virt-mtu facts writes it"},
		{"later version", `{"links":{"lo":1},"version":2}`, "facts are of version 2, this virt-mtu reads version 1: take the same virt-mtu on both hosts"},
		{"version 0", `{"version":0}`, "facts are of version 0, this virt-mtu reads version 1: take the same virt-mtu on both hosts"},
		{"version of another type", `{"version":"1"}`, "byte 14: version is a JSON string, which does not fit"},
		{"another type", `{"version":1,"links":[{"mtu":"1500"}]}`, "byte 35: links.mtu is a JSON string, which does not fit"},
		{"too large a number", `{"version":1,"links":[{"mtu":1e99}]}`, "byte 33: links.mtu is a JSON number 1e99, which does not fit"},
		{"garbage behind", `{"version":1} x`, "byte 15: invalid character 'x' after top-level value"},
		{"two of them", `{"version":1}{"version":1}`, "byte 14: invalid character '{' after top-level value"},
		{"broken", `{"version":1,}`, "byte 14: invalid character '}' looking for beginning of object key string"},
		{"NUL", "{\"version\":1}\x00", `byte 14: invalid character '\x00' after top-level value`},
		{"version twice", `{"version":1,"version":1}`, "byte 22: version comes twice"},
		{"two versions", `{"version":2,"version":1}`, "facts are of version 2, this virt-mtu reads version 1: take the same virt-mtu on both hosts"},
		{"two versions, ours first", `{"version":1,"Version":2}`, "byte 22: version comes twice"},
		{"links twice", `{"version":1,"links":[{"name":"lo"}],"links":[]}`, "byte 44: links comes twice"},
		{"later version, cut off", `{"version":2,"links":[{"na`, "facts are of version 2, this virt-mtu reads version 1: take the same virt-mtu on both hosts"},
		{"version last, cut off", `{"links":[],"host":"a"`, "the input is cut off: it ends at byte 22 within the JSON object"},
		{"link without a name", `{"version":1,"links":[{"name":"lo"},{"mtu":1500}]}`, `links[1].name is "", which no link can be called`},
		{"no link at all", `{"version":1,"links":[null]}`, `links[0].name is "", which no link can be called`},
		{"path for a name", `{"version":1,"links":[{"name":"../eth0"}]}`, `links[0].name is "../eth0", which no link can be called`},
		{"escape for a name", `{"version":1,"links":[{"name":"\u001b[2J\n"}]}`, `links[0].name is "\x1b[2J\n", which no link can be called`},
		{"long name", `{"version":1,"links":[{"name":"0123456789abcdef"}]}`, `links[0].name is "0123456789abcdef", which no link can be called`},
		{"another type within a list's element", `{"version":1,"domains":[{"guests":[{"mtu":1},{"mtu":true}]}]}`, "byte 56: domains.guests.mtu is a JSON bool, which does not fit"},
		{"a list for an object", `{"version":1,"ovs":[1]}`, "byte 20: ovs is a JSON array, which does not fit"},
		{"an object for a list", `{"version":1,"links":{"a":[1]}}`, "byte 22: links is a JSON object, which does not fit"},
		{"a list for a string", `{"version":1,"host":["a"]}`, "byte 21: host is a JSON array, which does not fit"},
		{"too deep", strings.Repeat(`{"a":`, 10001), "byte 50001: invalid character '{' exceeded max depth"},
	} {
		_, err := Decode(strings.NewReader(tt.in))
		if got := fmt.Sprint(err); got != "read facts: "+tt.want {
			t.Errorf("%s: %s, want %s", tt.name, got, tt.want)
		}
	}
	broken := errors.New("broken pipe")
	if _, err := Decode(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("an input that cannot be read: %v", err)
	}
}

// TestDecodeCutOff: wherever the input ends too early, that is what is said.
func TestDecodeCutOff(t *testing.T) {
	src := bytes.TrimRight(encode(t, full()), "\n")
	for n := 1; n < len(src); n++ {
		_, err := Decode(bytes.NewReader(src[:n]))
		if want := fmt.Sprintf("read facts: the input is cut off: it ends at byte %d within the JSON object", n); fmt.Sprint(err) != want {
			t.Fatalf("%v, want %s", err, want)
		}
	}
}

func TestInputLimit(t *testing.T) {
	const most = 1 << 20
	if src, err := input(strings.NewReader(strings.Repeat(" ", most)), most); err != nil || len(src) != most {
		t.Errorf("as much as is allowed: %d bytes, %v", len(src), err)
	}
	endless := io.MultiReader(strings.NewReader(strings.Repeat(" ", most+1)), iotest.ErrReader(errors.New("read on")))
	if _, err := input(endless, most); fmt.Sprint(err) != "the input is larger than 1 MiB" {
		t.Errorf("too much: %v", err)
	}
}

// FuzzDecode: what comes in is refused, or goes out and comes in again the same.
func FuzzDecode(f *testing.F) {
	f.Add([]byte(`{"version":1}`))
	f.Add([]byte(`{"version":1,"later":0,"ovs":{"bridges":null},"links":[{"name":"gre1","tunnel":{"remotes":[{}]}}],"hook":[{"code":"x"}],"domains":[{"guests":[{}]},{}]}`))
	f.Add([]byte(`{"version":2}`))
	f.Fuzz(func(t *testing.T, src []byte) {
		first, err := Decode(bytes.NewReader(src))
		if err != nil {
			if !strings.HasPrefix(err.Error(), "read facts: ") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%q", err)
			}
			return
		}
		once := encode(t, first)
		second, err := Decode(bytes.NewReader(once))
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		if diff := cmp.Diff(first, second, cmpopts.EquateEmpty()); diff != "" {
			t.Fatalf("-encoded +decoded:\n%s", diff)
		}
		if twice := encode(t, second); !bytes.Equal(once, twice) {
			t.Fatalf("%s\nthen\n%s", once, twice)
		}
	})
}

func encode(t testing.TB, f Facts) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := f.Encode(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}
