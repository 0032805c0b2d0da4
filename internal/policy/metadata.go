package policy

import (
	"encoding/xml"
	"fmt"
)

// The node of a domain's metadata that holds its own setting:
//
//	virsh metadata DOMAIN urn:virt-mtu:policy:1 --key virt-mtu --set "<domain mtu='ignore'/>"
const (
	MetadataURI = "urn:virt-mtu:policy:1"
	MetadataKey = "virt-mtu"
)

// IgnoreNode is the metadata node, without its namespace, that takes a domain out
// of virt-mtu's hands.
const IgnoreNode = "<domain mtu='ignore'/>"

// ParseMetadata reads the node under MetadataURI: its element's local name and
// attributes. What it does not know is an error, as in the config file: a
// misspelt "ignore" must not be taken for consent.
func ParseMetadata(name string, attrs []xml.Attr) (Setting, error) {
	if name != "domain" {
		return Setting{}, fmt.Errorf("metadata %s: unknown element %.40q: only <domain mtu='...'/> is", MetadataURI, name)
	}
	var s Setting
	var seen bool
	for _, a := range attrs {
		if a.Name.Space != "" && a.Name.Space != MetadataURI || a.Name.Local != "mtu" {
			return Setting{}, fmt.Errorf("metadata %s: unknown attribute %.40q", MetadataURI, a.Name.Local)
		}
		var err error
		if s, err = ParseSetting(a.Value); err != nil {
			return Setting{}, fmt.Errorf("metadata %s: %w", MetadataURI, err)
		}
		seen = true
	}
	if !seen {
		return Setting{}, fmt.Errorf("metadata %s: <domain> has no mtu attribute", MetadataURI)
	}
	return s, nil
}
