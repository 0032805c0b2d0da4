package libvirt

import "fmt"

// ManagedSaveXML returns the XML in a domain's managed save image, which its next
// start takes instead of the definition; without secrets.
func (c *Conn) ManagedSaveXML(d Domain) (string, error) {
	var xml string
	err := c.call(func() (err error) {
		xml, err = c.rpc.DomainManagedSaveGetXMLDesc(d.raw(), 0)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read managed save image of domain %q: %w", d.Name, err)
	}
	return xml, nil
}
