package libvirt

import (
	"fmt"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Metadata returns the node that the definition's <metadata> holds for a
// namespace URI, its namespace declaration left out; empty where there is none.
func (c *Conn) Metadata(d Domain, uri string) (string, error) {
	var xml string
	err := c.call(func() (err error) {
		xml, err = c.rpc.DomainGetMetadata(d.raw(), int32(golibvirt.DomainMetadataElement),
			golibvirt.OptString{uri}, golibvirt.DomainAffectConfig)
		return err
	})
	if hasCode(err, golibvirt.ErrNoDomainMetadata) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read metadata %s of domain %q: %w", uri, d.Name, err)
	}
	return xml, nil
}
