package collect

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	"virt-mtu/internal/host"
)

const pciDevices = "/sys/bus/pci/devices"

// readPCI lists the PCI functions that are network devices.
func readPCI(links []link) ([]host.PCI, []error) {
	entries, err := os.ReadDir(pciDevices)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil // no PCI bus
	}
	if err != nil {
		return nil, []error{err}
	}
	var found []host.PCI
	var errs []error
	for _, e := range entries {
		dir := filepath.Join(pciDevices, e.Name())
		class, err := readSmall(filepath.Join(dir, "class"))
		if err != nil {
			if !errors.Is(err, os.ErrNotExist) { // it has just gone
				errs = append(errs, err)
			}
			continue
		}
		if !strings.HasPrefix(class, "0x02") { // PCI_BASE_CLASS_NETWORK
			continue
		}
		p := host.PCI{Address: e.Name(), Link: linkOf(dir, links)}
		if pf, err := os.Readlink(filepath.Join(dir, "physfn")); err == nil {
			p.PF = filepath.Base(pf)
		}
		found = append(found, p)
	}
	return found, errs
}

// linkOf is the link of a PCI function, or of the virtio device on it. Of several
// that is the one that was there first: the others represent virtual functions.
func linkOf(dir string, links []link) string {
	under, _ := filepath.Glob(filepath.Join(dir, "net/*"))
	if len(under) == 0 {
		under, _ = filepath.Glob(filepath.Join(dir, "virtio*/net/*"))
	}
	for i := range links { // by index
		for _, path := range under {
			if links[i].Name == filepath.Base(path) {
				return links[i].Name
			}
		}
	}
	return ""
}
