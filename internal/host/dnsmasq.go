package host

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// dnsmasqConfigs is where libvirt writes what a network's dnsmasq goes by. It does so
// when the network starts.
const dnsmasqConfigs = "/var/lib/libvirt/dnsmasq"

// maxDnsmasq bounds such a file, in bytes.
const maxDnsmasq = 1 << 20

// ReadDnsmasq puts what the dnsmasq of a network that runs was told in the place of what
// the network's XML says it is. Where there is no such file, or it may not be read, the
// XML's word stands.
func ReadDnsmasq(n *Network) error {
	err := readDnsmasq(n)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, os.ErrPermission) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read dnsmasq configuration of network %q: %w", n.Name, err)
	}
	return nil
}

func readDnsmasq(n *Network) error {
	dir, err := os.Open(dnsmasqConfigs)
	if err != nil {
		return err
	}
	defer dir.Close()
	files, err := dir.Readdirnames(-1)
	if err != nil {
		return err
	}
	name := n.Name + ".conf"
	if !slices.Contains(files, name) { // a name that the folder lists, and no path
		return os.ErrNotExist
	}
	f, err := os.OpenFile(filepath.Join(dnsmasqConfigs, name), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	told := *n
	told.DHCP, told.DHCPMTU, told.RouterMTU = false, 0, 0
	lines := bufio.NewScanner(io.LimitReader(f, maxDnsmasq))
	for lines.Scan() {
		told.dnsmasqLine(lines.Text())
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if !told.DHCP {
		told.DHCPMTU = 0
	}
	*n = told
	return nil
}

// dnsmasqLine takes a line of a dnsmasq configuration, as far as it is about MTUs. Of
// several that set one thing for all clients the last counts. What is for some clients
// alone (a tag, a vendor) is passed over.
func (n *Network) dnsmasqLine(line string) {
	key, value, _ := strings.Cut(strings.TrimSpace(line), "=")
	words := strings.Split(value, ",")
	for i := range words {
		words[i] = strings.TrimSpace(words[i])
	}
	switch strings.TrimSpace(key) {
	case "dhcp-range":
		n.DHCP = n.DHCP || slices.ContainsFunc(words, dotted)
	case "dhcp-option", "dhcp-option-force":
		if code := strings.TrimPrefix(words[0], "option:"); code != "mtu" && code != "26" {
			return
		}
		n.DHCPMTU = 0 // without a value it is not sent at all
		if len(words) > 1 {
			n.DHCPMTU = mtuOf(words[1])
		}
	case "ra-param": // its first word is the interface
		for _, w := range words[1:] {
			if mtu, ok := strings.CutPrefix(w, "mtu:"); ok {
				n.RouterMTU = mtuOf(mtu) // "off" and an interface are no number
			}
		}
	}
}

// dotted reports whether a word is an IPv4 address.
func dotted(w string) bool {
	return strings.Count(w, ".") == 3 && strings.Trim(w, "0123456789.") == ""
}

// mtuOf returns the number that a word is, 0 where it is none.
func mtuOf(w string) int {
	mtu, err := strconv.ParseUint(w, 10, 16)
	if err != nil {
		return 0
	}
	return int(mtu)
}
