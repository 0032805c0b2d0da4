package facts

import (
	"errors"
	"fmt"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/libvirt"
)

// readDomain reads what libvirt knows of a domain. With an error the Domain holds what
// was read.
func readDomain(c *libvirt.Conn, d libvirt.Domain) (Domain, error) {
	out := Domain{Name: d.Name, UUID: d.UUID}
	status, err := c.Status(d)
	if err != nil {
		return out, err
	}
	out.State = status.State
	var errs []error
	for _, x := range []struct {
		wanted bool
		dump   func(libvirt.Domain) (string, error)
		into   *string
	}{
		{status.Persistent, c.PersistentXMLPublic, &out.PersistentXML},
		{status.Active, c.LiveXML, &out.LiveXML},
		{status.ManagedSave && !status.Active, c.ManagedSaveXML, &out.SavedXML},
	} {
		if !x.wanted {
			continue
		}
		xml, err := x.dump(d)
		if err != nil {
			errs = append(errs, err)
			break // most likely it is the connection
		}
		doc, err := domxml.Parse([]byte(xml))
		if err != nil {
			errs = append(errs, fmt.Errorf("read XML of domain %q: %w", d.Name, err))
			continue
		}
		*x.into = string(doc.Excerpt())
	}
	return out, errors.Join(errs...)
}
