package libvirt

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	golibvirt "github.com/digitalocean/go-libvirt"
)

// Domain names one domain. libvirt finds it by its UUID, so it stays the same
// domain when it is renamed.
type Domain struct {
	Name string
	UUID string // canonical: lower case, hyphens
}

// Status is what a domain is doing, and what kind of domain it is.
type Status struct {
	// State in libvirt's words, as virsh domstate has them: "running", "idle",
	// "paused", "in shutdown", "shut off", "crashed", "pmsuspended", "no state".
	State string
	// Active: it has a QEMU process.
	Active bool
	// Persistent: it has a definition that outlives the QEMU process.
	Persistent bool
	// ManagedSave: its next start restores a saved image, with the image's XML
	// instead of the definition's.
	ManagedSave bool
}

// Domains returns all domains, active or not, by name.
func (c *Conn) Domains() ([]Domain, error) { return c.list(0) }

// Running returns the domains that are active, by name.
func (c *Conn) Running() ([]Domain, error) { return c.list(golibvirt.ConnectListDomainsActive) }

func (c *Conn) list(which golibvirt.ConnectListAllDomainsFlags) ([]Domain, error) {
	var raw []golibvirt.Domain
	err := c.call(func() (err error) {
		raw, _, err = c.rpc.ConnectListAllDomains(1, which)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("list domains: %w", err)
	}
	domains := make([]Domain, len(raw))
	for i, d := range raw {
		domains[i] = domain(d)
	}
	slices.SortFunc(domains, func(a, b Domain) int { return cmp.Compare(a.Name, b.Name) })
	return domains, nil
}

// Lookup returns the domain with that name or, where no domain has it, with that
// UUID. ErrNotFound where there is neither.
func (c *Conn) Lookup(nameOrUUID string) (Domain, error) {
	var raw golibvirt.Domain
	err := c.call(func() (err error) {
		raw, err = c.rpc.DomainLookupByName(nameOrUUID)
		return err
	})
	if _, ok := parseUUID(nameOrUUID); ok && errors.Is(err, ErrNotFound) {
		return c.LookupUUID(nameOrUUID)
	}
	if err != nil {
		return Domain{}, fmt.Errorf("look up domain %q: %w", nameOrUUID, err)
	}
	return domain(raw), nil
}

// LookupUUID returns the domain with that UUID, never another that is called so.
// ErrNotFound where there is none.
func (c *Conn) LookupUUID(s string) (Domain, error) {
	uuid, ok := parseUUID(s)
	if !ok {
		return Domain{}, fmt.Errorf("look up domain %q: not a UUID", s)
	}
	var raw golibvirt.Domain
	err := c.call(func() (err error) {
		raw, err = c.rpc.DomainLookupByUUID(uuid)
		return err
	})
	if err != nil {
		return Domain{}, fmt.Errorf("look up domain %q: %w", s, err)
	}
	return domain(raw), nil
}

// Status returns what a domain is doing. It takes several calls: a domain that
// starts or stops meanwhile may show a bit of both.
func (c *Conn) Status(d Domain) (Status, error) {
	var state, active, persistent, saved int32
	err := c.call(func() (err error) {
		if state, _, err = c.rpc.DomainGetState(d.raw(), 0); err != nil {
			return err
		}
		if active, err = c.rpc.DomainIsActive(d.raw()); err != nil {
			return err
		}
		if persistent, err = c.rpc.DomainIsPersistent(d.raw()); err != nil || persistent == 0 {
			// libvirt refuses to look for the saved image of a transient domain.
			return err
		}
		saved, err = c.rpc.DomainHasManagedSaveImage(d.raw(), 0)
		return err
	})
	if err != nil {
		return Status{}, fmt.Errorf("read state of domain %q: %w", d.Name, err)
	}
	return Status{
		State:       stateWord(golibvirt.DomainState(state)),
		Active:      active != 0,
		Persistent:  persistent != 0,
		ManagedSave: saved != 0,
	}, nil
}

var stateWords = map[golibvirt.DomainState]string{
	golibvirt.DomainRunning:     "running",
	golibvirt.DomainBlocked:     "idle",
	golibvirt.DomainPaused:      "paused",
	golibvirt.DomainShutdown:    "in shutdown",
	golibvirt.DomainShutoff:     "shut off",
	golibvirt.DomainCrashed:     "crashed",
	golibvirt.DomainPmsuspended: "pmsuspended",
}

func stateWord(s golibvirt.DomainState) string { return cmp.Or(stateWords[s], "no state") }

// PersistentXML returns the definition with its secrets, such as a VNC password:
// the one to compare or to write back, not to show. A transient domain has none;
// libvirt then gives its live XML in that form.
func (c *Conn) PersistentXML(d Domain) (string, error) {
	return c.dump("definition", d, golibvirt.DomainXMLInactive|golibvirt.DomainXMLSecure)
}

// PersistentXMLPublic returns the definition without secrets, for people.
func (c *Conn) PersistentXMLPublic(d Domain) (string, error) {
	return c.dump("definition", d, golibvirt.DomainXMLInactive)
}

// LiveXML returns the XML of the domain as it runs, with its taps' names and
// without secrets; of one that does not run, the definition.
func (c *Conn) LiveXML(d Domain) (string, error) {
	return c.dump("XML", d, 0)
}

// PlainXML returns the running domain in the form of a definition: without what libvirt
// has chosen for this run alone, as generated taps and what networks came to. A device
// of it can be plugged in anew.
func (c *Conn) PlainXML(d Domain) (string, error) {
	return c.dump("XML", d, golibvirt.DomainXMLMigratable)
}

func (c *Conn) dump(what string, d Domain, flags golibvirt.DomainXMLFlags) (string, error) {
	var xml string
	err := c.call(func() (err error) {
		xml, err = c.rpc.DomainGetXMLDesc(d.raw(), flags)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("read %s of domain %q: %w", what, d.Name, err)
	}
	return xml, nil
}

// UpdateInterface replaces one <interface> in the definition, found by its MAC
// (and <address>, where two have the same). A running domain keeps what it has.
//
// After ErrTimeout or ErrLost it is not known whether libvirt did it, or still will.
func (c *Conn) UpdateInterface(d Domain, xml string) error {
	err := c.call(func() error {
		return c.rpc.DomainUpdateDeviceFlags(d.raw(), xml, golibvirt.DomainDeviceModifyConfig)
	})
	if err != nil {
		return fmt.Errorf("update interface of domain %q: %w", d.Name, err)
	}
	return nil
}

// SetMetadata replaces the node that the definition's <metadata> holds for a
// namespace URI, and with live that of the running domain too; key becomes its
// namespace prefix. An empty xml removes the node.
// libvirt fires METADATA_CHANGE for it, even where nothing changes.
//
// After ErrTimeout or ErrLost it is not known whether libvirt did it, or still will.
func (c *Conn) SetMetadata(d Domain, key, uri, xml string, live bool) error {
	node, prefix := golibvirt.OptString{xml}, golibvirt.OptString{key}
	if xml == "" {
		node, prefix = nil, nil
	}
	affect := golibvirt.DomainAffectConfig
	if live {
		affect |= golibvirt.DomainAffectLive
	}
	err := c.call(func() error {
		return c.rpc.DomainSetMetadata(d.raw(), int32(golibvirt.DomainMetadataElement),
			node, prefix, golibvirt.OptString{uri}, affect)
	})
	if err != nil {
		return fmt.Errorf("set metadata %s of domain %q: %w", uri, d.Name, err)
	}
	return nil
}

func domain(raw golibvirt.Domain) Domain {
	return Domain{Name: raw.Name, UUID: hyphened(raw.UUID)}
}

// hyphened returns a UUID in its canonical form.
func hyphened(uuid golibvirt.UUID) string {
	h := hex.EncodeToString(uuid[:])
	return strings.Join([]string{h[:8], h[8:12], h[12:16], h[16:20], h[20:]}, "-")
}

// raw returns the domain as the wire has it. The ID is of no use to the daemon,
// which goes by the UUID.
func (d Domain) raw() golibvirt.Domain {
	uuid, _ := parseUUID(d.UUID)
	return golibvirt.Domain{Name: d.Name, UUID: uuid, ID: -1}
}

// parseUUID takes hyphens wherever they are, as libvirt does.
func parseUUID(s string) (uuid golibvirt.UUID, ok bool) {
	b, err := hex.DecodeString(strings.ReplaceAll(s, "-", ""))
	if err != nil || len(b) != len(uuid) {
		return uuid, false
	}
	return golibvirt.UUID(b), true
}
