package policy

import (
	"encoding/xml"
	"strings"
	"testing"
)

func TestParseMetadata(t *testing.T) {
	attr := func(name, value string) []xml.Attr {
		return []xml.Attr{{Name: xml.Name{Local: name}, Value: value}}
	}
	for _, tt := range []struct {
		name  string
		attrs []xml.Attr
		want  Setting
		ok    bool
	}{
		{"domain", attr("mtu", "ignore"), Setting{Kind: Ignore}, true},
		{"domain", attr("mtu", "inherit"), Setting{}, true},
		{"domain", attr("mtu", "9000"), Setting{Kind: Fixed, MTU: 9000}, true},
		{"domain", attr("mtu", "ingore"), Setting{}, false},
		{"domain", attr("mtu", ""), Setting{}, false},
		{"domain", attr("mut", "ignore"), Setting{}, false},
		{"domain", nil, Setting{}, false},
		{"nic", attr("mtu", "ignore"), Setting{}, false},
	} {
		got, err := ParseMetadata(tt.name, tt.attrs)
		if got != tt.want || (err == nil) != tt.ok {
			t.Errorf("<%s %v>: %v, %v", tt.name, tt.attrs, got, err)
		}
	}
}

// What a domain's owner writes goes to logs and reports.
func TestMetadataErrorsAreShort(t *testing.T) {
	long := strings.Repeat("x\n", 1<<20)
	for _, tt := range []struct {
		name string
		attr xml.Attr
	}{
		{long, xml.Attr{}},
		{"domain", xml.Attr{Name: xml.Name{Local: long}}},
		{"domain", xml.Attr{Name: xml.Name{Local: "mtu"}, Value: long}},
	} {
		_, err := ParseMetadata(tt.name, []xml.Attr{tt.attr})
		if err == nil || len(err.Error()) > 300 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.10q: %.400v", tt.name, err)
		}
	}
}
