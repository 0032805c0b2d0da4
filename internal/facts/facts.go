package facts

import (
	"virt-mtu/internal/finding"
	"virt-mtu/internal/host"
)

// Version of the format that this package writes. A reader refuses another: a
// field that is new within a version is one that older readers may pass over.
const Version = 1

// Facts are all that check is made from: a host's network and its domains. They
// hold no secrets: of a domain's XML only what concerns its NICs.
type Facts struct {
	Version int `json:"version"`
	host.Snapshot
	// Hook lists what is wrong with libvirt's hook there.
	Hook    []finding.Finding `json:"hook"`
	Domains []Domain          `json:"domains"`
}

// Domain is one libvirt domain.
type Domain struct {
	Name string `json:"name"`
	UUID string `json:"uuid"`
	// State in libvirt's words: "running", "shut off", ...
	State string `json:"state"`
	// PersistentXML is the definition, LiveXML what runs, SavedXML what a managed
	// save image holds, each an excerpt (domxml's) and empty where there is none.
	PersistentXML string `json:"persistent_xml"`
	LiveXML       string `json:"live_xml"`
	SavedXML      string `json:"saved_xml"`
	// Guests is what the guest itself says of its NICs, where its agent was asked.
	Guests []Guest `json:"guests"`
	// Error says why nothing more is known of the domain.
	Error string `json:"error"`
}

// Guest is what a guest says of one of its NICs.
type Guest struct {
	MAC string `json:"mac"`
	MTU int    `json:"mtu"` // bytes of IP packet
}
