package owned

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"virt-mtu/internal/domxml"
)

const mac = "52:54:00:00:00:01"

func TestLifeOfAnEntry(t *testing.T) {
	nic := func(mtu int) []domxml.NIC { return []domxml.NIC{{MAC: mac, MTU: mtu}} }
	var r Record
	step := func(what string, got Record, want ...Entry) {
		t.Helper()
		if d := cmp.Diff(Record(want), got); d != "" {
			t.Fatalf("%s: want-, got+:\n%s", what, d)
		}
		r = got
	}
	step("intend an injection", r.Intend(mac, 0, 9000, false), Entry{mac, 0, 9000, 0, false})
	if r.Owns(mac, 0) {
		t.Error("a NIC without <mtu> is nobody's")
	}
	step("it is there", r.Settle(nic(9000)), Entry{mac, 0, 9000, 0, false})
	step("intend an update", r.Intend(mac, 9000, 4000, true), Entry{mac, 0, 9000, 4000, true})
	if !r.Owns(mac, 9000) || !r.Owns(mac, 4000) {
		t.Error("killed in between, both values are ours")
	}
	step("it is there", r.Settle(nic(4000)), Entry{mac, 0, 4000, 0, true})
	if r.Owns(mac, 2000) {
		t.Error("a value that the record does not name is not ours")
	}
	step("somebody changed it", r.Settle(nic(2000)))
	step("by force", r.Intend(mac, 2000, 9000, false), Entry{mac, 2000, 9000, 0, false})
	step("undone", r.Settle(nic(2000)))
}

func TestXMLRoundTrip(t *testing.T) {
	want := Record{{mac, 0, 9000, 0, false}, {"52:54:00:00:00:02", 1400, 9000, 4000, true}}
	src := "<domain><metadata><o:nics xmlns:o='" + URI + "'" + want.XML()[len("<nics"):]
	src = src[:len(src)-len("</nics>")] + "</o:nics></metadata></domain>"
	doc, err := domxml.Parse([]byte(src))
	if err != nil {
		t.Fatal(err)
	}
	got, err := FromMetadata(doc.Metadata)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("want-, got+:\n%s", d)
	}
}

func TestFromMetadataRefuses(t *testing.T) {
	for _, nics := range []string{
		"<other/>",
		"<nic before='0' set='9000'/>",
		"<nic mac='x' before='0' set='9000'/>",
		"<nic mac='" + mac + "' before='0' set='x'/>",
		"<nic mac='" + mac + "' before='0' set='-1'/>",
		"<nic mac='" + mac + "' before='0' set='70000'/>",
		"<nic mac='" + mac + "' sat='9000'/>",
		"<nic mac='" + mac + "' set='1'/><nic mac='" + mac + "' set='2'/>",
	} {
		doc, err := domxml.Parse([]byte("<domain><metadata><nics xmlns='" + URI + "'>" + nics + "</nics></metadata></domain>"))
		if err != nil {
			t.Fatal(err)
		}
		if r, err := FromMetadata(doc.Metadata); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", nics, r, err)
		}
	}
}
