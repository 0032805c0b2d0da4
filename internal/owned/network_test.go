package owned

import (
	"errors"
	"testing"

	"virt-mtu/internal/domxml"
)

func TestNetwork(t *testing.T) {
	read := func(node string) (*Network, error) {
		t.Helper()
		doc, err := domxml.ParseNetwork([]byte("<network><name>lan</name><metadata>"+node+"</metadata></network>"), URI)
		if err != nil {
			t.Fatal(err)
		}
		return NetworkFromMetadata(doc.Metadata)
	}
	want := Network{Before: 1400, Set: 9000}
	if got, err := read(want.XML()); err != nil || got == nil || *got != want {
		t.Errorf("%v, %v", got, err)
	}
	if got, err := read("<x:network xmlns:x='urn:other' set='1'/>"); err != nil || got != nil {
		t.Errorf("without a record: %v, %v", got, err)
	}
	for _, node := range []string{
		"<o:nics xmlns:o='" + URI + "' set='9000'/>",
		"<o:network xmlns:o='" + URI + "'/>",
		"<o:network xmlns:o='" + URI + "' set='9000'><nic/></o:network>",
		"<o:network xmlns:o='" + URI + "' set='70000'/>",
		"<o:network xmlns:o='" + URI + "' set='9000' mac='52:54:00:00:00:01'/>",
	} {
		if got, err := read(node); !errors.Is(err, ErrDamaged) {
			t.Errorf("%s: %v, %v", node, got, err)
		}
	}
}
