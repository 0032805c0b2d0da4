package collect

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Where those who configure links at boot say so.
const (
	netplanDir    = "/etc/netplan"
	networkdLinks = "/run/systemd/netif/links" // a file a link, by index
	nmDevices     = "/run/NetworkManager/devices"
	nmConnections = "/run/NetworkManager/system-connections"
	interfaces    = "/etc/network/interfaces"
	interfacesDir = "/etc/network/interfaces.d"
	ifcfgDir      = "/etc/sysconfig/network-scripts"
)

// managers finds what configures a link. What of it cannot be read counts as not
// there: netplan's files are for root alone, and among the others may be folders. Each
// file is read at most once.
type managers struct {
	netplan  map[string]bool // by link
	ifupdown map[string]bool
	ifcfg    map[string]bool
	networkd bool // it has a folder of links
	nm       bool
	adopted  map[string]bool // NetworkManager's connections that describe what another set up, by UUID
}

func newManagers() *managers {
	m := &managers{netplan: map[string]bool{}, ifupdown: map[string]bool{}, ifcfg: map[string]bool{}, adopted: map[string]bool{}}
	for _, path := range files(netplanDir, "*.yaml") {
		addNetplan(m.netplan, textOf(path))
	}
	m.networkd, m.nm = isDir(networkdLinks), isDir(nmDevices)
	if m.nm {
		for _, path := range files(nmConnections, "*.nmconnection") {
			if file := textOf(path); setting(file, "external") == "true" {
				m.adopted[setting(file, "uuid")] = true
			}
		}
	}
	for _, path := range append(files(interfacesDir, "*"), interfaces) {
		addIfupdown(m.ifupdown, textOf(path))
	}
	for _, path := range files(ifcfgDir, "ifcfg-*") {
		m.ifcfg[strings.TrimPrefix(filepath.Base(path), "ifcfg-")] = true
	}
	return m
}

// of names what configures a link. netplan only writes what networkd or
// NetworkManager then act on; what is live comes before what is only written down.
func (m *managers) of(l *link) string {
	switch {
	case l.Tap, l.loopback, paired[l.Kind], l.Kind == "macvtap": // a guest's or a container's
		return ""
	case m.netplan[l.Name]:
		return "netplan"
	}
	index := strconv.Itoa(l.Index)
	if m.networkd {
		file := textOf(filepath.Join(networkdLinks, index))
		if state := setting(file, "ADMIN_STATE"); state == "configured" || state == "configuring" {
			// netplan may know the link by its MAC address alone.
			if strings.HasPrefix(filepath.Base(setting(file, "NETWORK_FILE")), "10-netplan-") {
				return "netplan"
			}
			return "networkd"
		}
	}
	if m.nm {
		file := textOf(filepath.Join(nmDevices, index))
		if setting(file, "managed") == "true" && !m.adopted[setting(file, "connection-uuid")] {
			return "networkmanager"
		}
	}
	switch {
	case m.ifupdown[l.Name]:
		return "ifupdown"
	case m.ifcfg[l.Name]:
		return "ifcfg"
	}
	return ""
}

// textOf is what a regular file holds, empty where it cannot be read.
func textOf(path string) string {
	text, err := readSmall(path)
	if err != nil {
		return ""
	}
	return text
}

// files lists the files of a folder; a folder that is not there has none.
func files(dir, pattern string) []string {
	paths, _ := filepath.Glob(filepath.Join(dir, pattern)) // an error: of the pattern
	return paths
}

func isDir(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.IsDir()
}

// setting is the value of a key in a file of lines KEY=value, in whatever section;
// empty where there is none.
func setting(file, key string) string {
	for line := range strings.Lines(file) {
		if k, value, ok := strings.Cut(line, "="); ok && strings.TrimSpace(k) == key {
			return strings.TrimSpace(value)
		}
	}
	return ""
}

// addNetplan adds what a netplan file may name a link: its keys, and what set-name
// says. Its other keys are words of netplan's, which nobody calls a link.
func addNetplan(names map[string]bool, file string) {
	for line := range strings.Lines(file) {
		line, _, _ = strings.Cut(line, "#")
		words := strings.FieldsFunc(line, func(r rune) bool { return strings.ContainsRune(" \t\r\n{},\"'", r) })
		for i, word := range words {
			if key, ok := strings.CutSuffix(word, ":"); ok {
				names[key] = true
			} else if i > 0 && words[i-1] == "set-name:" || i+1 < len(words) && words[i+1] == ":" {
				names[word] = true
			}
		}
	}
}

// addIfupdown adds the links that a file of ifupdown's has an iface stanza for.
func addIfupdown(names map[string]bool, file string) {
	for line := range strings.Lines(file) {
		if words := strings.Fields(line); len(words) > 1 && words[0] == "iface" {
			names[words[1]] = true
		}
	}
}
