// Package packaging has the unit files below it, for virt-mtu hook install --systemd.
// Packages install the very same files.
package packaging

import (
	"embed"
	"io/fs"
)

// Program is what the units start.
const Program = "/usr/bin/virt-mtu"

//go:embed systemd/virt-mtu-*
var files embed.FS

// Units are the unit files, by their names.
func Units() fs.FS {
	units, err := fs.Sub(files, "systemd")
	if err != nil {
		panic(err) // the folder is embedded
	}
	return units
}
