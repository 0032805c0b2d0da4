package host

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

const (
	sysNet = "/sys/class/net"
	// sysVirtual is where most entries of sysNet lead: every link without hardware
	// under it, taps among them. The shorter way halves the time of a look-up.
	sysVirtual = "/sys/devices/virtual/net"
)

// Read reads the named links with the ports of those that are Linux bridges and what
// sysfs shows of what these sit on, and the named libvirt networks, whose bridges
// count as named too. It is for the libvirt hook: what is not named costs nothing.
// Names may come from anywhere, be empty, or stand twice; one that is no link or no
// network is just not in the Snapshot.
//
// It knows nothing of a tunnel but its own MTU.
//
// Where a network's file cannot be read, the error says so and the rest of the
// Snapshot is good.
func Read(links, networks []string) (Snapshot, error) {
	found, errNetworks := ReadNetworks(networks)
	r, err := newReader()
	if err != nil {
		return Snapshot{}, errors.Join(err, errNetworks)
	}
	defer r.close()
	for _, n := range found {
		r.add(n.Bridge)
	}
	for _, name := range links {
		r.add(name)
	}
	return Snapshot{Host: hostname(), Links: r.links, Networks: found}, errNetworks
}

// reader collects links, each once.
type reader struct {
	net     int // sysNet
	virtual int // sysVirtual
	sock    int // for ioctls
	rtnl    rtnl
	links   []Link
	seen    map[string]bool
	masters map[string]string // as far as they were read
	ends    map[string]string // of veths, by the name of the other end
	buf     [4096]byte        // what sysfs shows in one file is at most a page
}

func newReader() (*reader, error) {
	r := &reader{
		net: -1, virtual: -1, sock: -1, rtnl: rtnl{fd: -1},
		seen: map[string]bool{}, masters: map[string]string{}, ends: map[string]string{},
	}
	var err error
	if r.net, err = openDir(unix.AT_FDCWD, sysNet); err == nil {
		r.virtual, err = openDir(unix.AT_FDCWD, sysVirtual)
	}
	if err != nil {
		r.close()
		return nil, err
	}
	// A unix socket takes every interface ioctl and is there without IPv4.
	if r.sock, err = unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0); err != nil {
		r.close()
		return nil, fmt.Errorf("open socket: %w", err)
	}
	return r, nil
}

func (r *reader) close() {
	for _, fd := range []int{r.net, r.virtual, r.sock, r.rtnl.fd} {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
}

func openDir(at int, path string) (int, error) {
	fd, err := unix.Openat(at, path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1, &os.PathError{Op: "open", Path: path, Err: err}
	}
	return fd, nil
}

// add collects the link called name, what it sits on, and if it is a bridge its
// ports.
func (r *reader) add(name string) {
	l, ok := r.link(name)
	// The ioctls go by alternative names too. sysfs does not, so what is there
	// under such a name could be told in part only: it counts as not there.
	if !ok || !exists(r.net, name) {
		return
	}
	l.Master = r.master(name)
	if l.Kind == "tun" {
		flags, ok := r.number(name + "/tun_flags")
		if !ok { // gone
			return
		}
		l.Tap = flags&unix.IFF_TAP != 0
	}
	r.put(l)
	if l.Kind != "bridge" {
		return
	}
	ports, _ := r.list(name + "/brif") // an error: the bridge has just gone
	var veths []Link
	wired := false
	for _, port := range ports {
		p, ok := r.link(port)
		if !ok {
			continue
		}
		p.Master, r.masters[port] = name, name
		p.Tap = p.Kind == "tun" // a bridge takes Ethernet only: not one in TUN mode
		if p.Kind == "veth" {
			veths = append(veths, p)
			continue
		}
		wired = wired || !p.Tap
		r.put(p)
	}
	for _, v := range veths {
		if wired { // veths lead to containers then, and there may be many
			r.links = append(r.links, v)
			continue
		}
		r.put(v)
	}
}

// link reads what can be told of any link at little cost. It is false for one that
// was read before, is not there, or goes away meanwhile.
//
// An ioctl takes 1 to 2 us where a file of sysfs takes 10 to 15, and a bridge may
// have 1,023 ports.
func (r *reader) link(name string) (Link, bool) {
	if !ValidName(name) || r.seen[name] {
		return Link{}, false
	}
	r.seen[name] = true
	ifr, err := unix.NewIfreq(name)
	if err != nil {
		return Link{}, false
	}
	l, ok := Link{Name: name}, false
	if unix.IoctlIfreq(r.sock, unix.SIOCGIFINDEX, ifr) != nil {
		return Link{}, false
	}
	l.Index = int(ifr.Uint32())
	if unix.IoctlIfreq(r.sock, unix.SIOCGIFMTU, ifr) != nil {
		return Link{}, false
	}
	l.MTU = int(ifr.Uint32())
	l.Kind, ok = r.kind(name)
	return l, ok
}

// kinds are the names that a driver gives ethtool, or DEVTYPE, in place of the
// kernel's name for the kind of link (net/8021q/vlan_dev.c,
// drivers/net/bonding/bond_main.c, net/batman-adv/soft-interface.c,
// net/l2tp/l2tp_eth.c, which has none).
var kinds = map[string]string{
	"802.1Q VLAN Support":   "vlan",
	"bonding":               "bond",
	"B.A.T.M.A.N. advanced": "batadv",
	"l2tpeth":               "l2tp_eth",
}

// kind says what a link is; false: it has gone. A tap that went away must not pass
// for an uplink of no known kind.
//
// ethtool waits for the lock under which links are made and deleted (RTNL), so the
// taps, which are many, are told apart without it. DEVTYPE is for kernels whose
// ethtool knows hardware only: not all kinds have it.
func (r *reader) kind(name string) (string, bool) {
	if r.ends[name] != "" {
		return "veth", true
	}
	if exists(r.virtual, name+"/tun_flags") {
		return "tun", true
	}
	info, err := unix.IoctlGetEthtoolDrvinfo(r.sock, name)
	if err == unix.ENODEV {
		return "", false
	}
	if err == nil {
		driver := unix.ByteSliceToString(info.Driver[:])
		if driver == "macvlan" && exists(r.net, name+"/macvtap") { // which is built on it
			return "macvtap", true
		}
		return kernelKind(driver), true
	}
	uevent := r.text(name + "/uevent")
	for line := range strings.Lines(uevent) {
		if kind, ok := strings.CutPrefix(line, "DEVTYPE="); ok {
			return kernelKind(strings.TrimSpace(kind)), true
		}
	}
	if exists(r.net, name+"/device") { // hardware, whose driver keeps its name to itself
		return Hardware, true
	}
	return "", uevent != ""
}

func kernelKind(name string) string {
	if kind, ok := kinds[name]; ok {
		return kind
	}
	return name
}

// master is the link whose port the link called name is, empty without one.
func (r *reader) master(name string) string {
	if master, ok := r.masters[name]; ok {
		return master
	}
	to := ""
	if n, err := unix.Readlinkat(r.net, name+"/master", r.buf[:]); err == nil {
		to = string(r.buf[:n])
	}
	r.masters[name] = to[strings.LastIndexByte(to, '/')+1:]
	return r.masters[name]
}

// number reads a file that holds one number: decimal, or with 0x.
func (r *reader) number(path string) (int, bool) {
	n, err := strconv.ParseInt(strings.TrimSpace(r.text(path)), 0, 0)
	return int(n), err == nil
}

func exists(dir int, path string) bool {
	return unix.Faccessat(dir, path, unix.F_OK, 0) == nil
}

// text reads a file under sysNet; empty where there is none.
func (r *reader) text(path string) string {
	fd, err := unix.Openat(r.net, path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return ""
	}
	defer unix.Close(fd)
	n, err := unix.Read(fd, r.buf[:])
	if err != nil { // EINVAL, ENODEV: the link has just gone
		return ""
	}
	return string(r.buf[:n])
}

func (r *reader) list(path string) ([]string, error) {
	fd, err := openDir(r.net, path)
	if err != nil {
		return nil, err
	}
	dir := os.NewFile(uintptr(fd), path)
	defer dir.Close()
	return dir.Readdirnames(-1)
}

// ValidName tells whether the kernel would let a link be called name
// (dev_valid_name): only such a name becomes part of a path.
func ValidName(name string) bool {
	if name == "" || len(name) >= unix.IFNAMSIZ || name == "." || name == ".." {
		return false
	}
	for i := range len(name) {
		switch c := name[i]; c {
		// isspace of the kernel's Latin-1 ctype, which has 0xa0 in it.
		case '/', ':', 0, ' ', '\t', '\n', '\v', '\f', '\r', 0xa0:
			return false
		}
	}
	return true
}

// hostname is empty where the kernel does not tell it.
func hostname() string {
	name, _ := os.Hostname()
	return name
}
