package collect

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"virt-mtu/internal/host"
	"virt-mtu/internal/oneline"
)

// Bounds of ovs-vsctl: how long it may take, which it is told as well, and how much
// it may say, in bytes.
const (
	ovsTimeout = 5 * time.Second
	maxOVS     = 64 << 20
)

// ovsTunnels are the types of interface that are tunnels, with the family of those
// that have but one (ovs-vswitchd.conf.db(5)).
var ovsTunnels = map[string]int{
	"vxlan": 4, "geneve": 4, "gre": 4, "ip6gre": 6, "erspan": 4, "ip6erspan": 6,
	"stt": 4, "lisp": 4, "gtpu": 4, "bareudp": 4, "srv6": 6,
}

// readOVS reads Open vSwitch's database; nil where there is no Open vSwitch.
func readOVS(links []link, routes *routes) (*host.OVS, error) {
	dir := ovsRunDir()
	if dir == "" {
		for i := range links {
			if l := &links[i]; l.Kind == "openvswitch" || l.Master == "ovs-system" {
				return nil, fmt.Errorf("link %q is its, but its database's socket is not here", l.Name)
			}
		}
		return nil, nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), ovsTimeout+time.Second)
	defer cancel()
	out, err := listOVS(ctx, filepath.Join(dir, "db.sock"))
	if err != nil {
		return nil, err
	}
	return decodeOVS(out, dir, routes)
}

// ovsRunDir is the folder that the database's socket is in, empty where there is none.
func ovsRunDir() string {
	for _, dir := range []string{os.Getenv("OVS_RUNDIR"), "/run/openvswitch", "/var/run/openvswitch"} {
		if dir == "" {
			continue
		}
		if info, err := os.Stat(filepath.Join(dir, "db.sock")); err == nil && info.Mode()&os.ModeSocket != 0 {
			return dir
		}
	}
	return ""
}

// ovsTables are the tables that are read, with what is read of each.
var ovsTables = []struct{ name, columns string }{
	{"Bridge", "name,datapath_type,ports"},
	{"Port", "_uuid,name,tag,interfaces,external_ids"},
	{"Interface", "_uuid,name,type,mtu,mtu_request,options,statistics"},
}

// listOVS prints ovsTables, one after the other. Old releases lack a column
// (mtu_request is there from 2.6 on), and then print nothing at all. Whole rows are
// there in any release, but take twice the time.
func listOVS(ctx context.Context, socket string) ([]byte, error) {
	var some, whole []string
	for _, t := range ovsTables {
		some = append(some, "--", "--columns="+t.columns, "list", t.name)
		whole = append(whole, "--", "list", t.name)
	}
	out, err := vsctl(ctx, socket, some)
	if err != nil && strings.Contains(err.Error(), "does not contain a column") { // lib/db-ctl-base.c
		return vsctl(ctx, socket, whole)
	}
	return out, err
}

// vsctl runs ovs-vsctl as PATH has it: its place is the distribution's choice, or
// /usr/local's. Where virt-mtu has rights that its caller has not, sudo (secure_path)
// or systemd has set PATH.
func vsctl(ctx context.Context, socket string, commands []string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, "ovs-vsctl", append([]string{"--db=unix:" + socket,
		"--timeout=" + strconv.Itoa(int(ovsTimeout/time.Second)), "--format=json"}, commands...)...)
	// It may be a wrapper: what it has started ends with it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return unix.Kill(-cmd.Process.Pid, unix.SIGKILL) }
	cmd.WaitDelay = time.Second
	out, said := &bounded{room: maxOVS}, &bounded{room: 64 << 10}
	cmd.Stdout, cmd.Stderr = out, said
	switch err := cmd.Run(); {
	case out.over:
		return nil, fmt.Errorf("ovs-vsctl: it says more than %d MiB", maxOVS>>20)
	case err != nil && len(said.b) > 0:
		why := strings.Join(strings.Fields(string(said.b)), " ")
		return nil, fmt.Errorf("ovs-vsctl: %w: %s", err, oneline.Text(why, 1000))
	case err != nil:
		return nil, fmt.Errorf("ovs-vsctl: %w", err)
	}
	return out.b, nil
}

// bounded keeps what is written to it, and no more than it has room for. It is no
// bytes.Buffer, whose ReadFrom would take all.
type bounded struct {
	b    []byte
	room int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	if len(b.b)+len(p) > b.room {
		b.over = true
		return 0, io.ErrShortWrite
	}
	b.b = append(b.b, p...)
	return len(p), nil
}

// decodeOVS reads the tables of bridges, ports and interfaces.
func decodeOVS(out []byte, runDir string, routes *routes) (*host.OVS, error) {
	tables := make([][]row, len(ovsTables))
	d := json.NewDecoder(bytes.NewReader(out))
	for i := range tables {
		var err error
		if tables[i], err = decodeTable(d); err != nil {
			return nil, fmt.Errorf("read what ovs-vsctl says: %w", err)
		}
	}
	ports, interfaces := byUUID(tables[1]), byUUID(tables[2])

	ovs := &host.OVS{}
	for _, b := range tables[0] {
		bridge := host.OVSBridge{Name: b.text("name"), Datapath: cmp.Or(b.text("datapath_type"), "system")}
		for _, uuid := range b.uuids("ports") {
			p := ports[uuid]
			if p == nil {
				continue
			}
			port := host.OVSPort{Name: p.text("name"), Tag: p.number("tag")}
			_, ovn := p.pairs("external_ids")["ovn-chassis-id"]
			for _, uuid := range p.uuids("interfaces") {
				if i := interfaces[uuid]; i != nil {
					port.Interfaces = append(port.Interfaces, ovsInterface(i, ovn, runDir, routes))
				}
			}
			slices.SortFunc(port.Interfaces, func(a, b host.OVSInterface) int { return cmp.Compare(a.Name, b.Name) })
			bridge.Ports = append(bridge.Ports, port)
		}
		slices.SortFunc(bridge.Ports, func(a, b host.OVSPort) int { return cmp.Compare(a.Name, b.Name) })
		ovs.Bridges = append(ovs.Bridges, bridge)
	}
	slices.SortFunc(ovs.Bridges, func(a, b host.OVSBridge) int { return cmp.Compare(a.Name, b.Name) })
	return ovs, nil
}

func byUUID(rows []row) map[string]row {
	m := make(map[string]row, len(rows))
	for _, r := range rows {
		for _, uuid := range r.uuids("_uuid") {
			m[uuid] = r
		}
	}
	return m
}

func ovsInterface(r row, ovn bool, runDir string, routes *routes) host.OVSInterface {
	i := host.OVSInterface{
		Name:       r.text("name"),
		Type:       r.text("type"),
		MTU:        r.number("mtu"),
		MTURequest: r.number("mtu_request"),
	}
	i.TxErrors, _ = strconv.ParseInt(r.pairs("statistics")["tx_errors"], 10, 64) // 0 where it has none
	options := r.pairs("options")
	switch i.Type {
	case "patch":
		i.Peer = options["peer"]
	case "dpdkvhostuserclient":
		i.Socket = options["vhost-server-path"]
	case "dpdkvhostuser":
		i.Socket = filepath.Join(runDir, i.Name)
	}
	if family, ok := ovsTunnels[i.Type]; ok {
		i.Tunnel = ovsTunnel(i.Type, family, options).resolve(false, routes)
		if ovn && i.Type == "geneve" {
			i.Tunnel.OptionBytes = 8 // its ports, in one option (ovn-architecture(7))
		}
	}
	return i
}

// ovsTunnel reads a tunnel's options (lib/netdev-vport.c). Each address may be "flow":
// the flows name it.
func ovsTunnel(kind string, family int, options map[string]string) *tunnel {
	t := &tunnel{Tunnel: host.Tunnel{Family: family, External: options["remote_ip"] == "flow", Unsure: unsure(options)}}
	switch kind {
	case "gre", "ip6gre":
		t.Key = options["key"] != "" || options["out_key"] != "" // "0" and "flow" too
		for _, field := range []string{"csum", "seq"} {
			if options[field] == "true" {
				t.OptionBytes += greField
			}
		}
	case "erspan", "ip6erspan":
		switch options["erspan_ver"] {
		case "2":
			t.OptionBytes += erspanV2
		case "flow":
			t.Unsure = true
		}
	}
	if options["packet_type"] == "legacy_l3" {
		t.OptionBytes -= ethernet
	}
	t.local, _ = netip.ParseAddr(options["local_ip"])
	if to, err := netip.ParseAddr(options["remote_ip"]); err == nil {
		t.add(remote{address: to})
	}
	return t
}

// ovsIPsec are the options each of which puts a tunnel into IPsec. What that takes is
// agreed with the far end. The last two were in releases before 2.11.
var ovsIPsec = []string{"psk", "remote_cert", "remote_name", "certificate", "peer_cert"}

// unsure tells whether a tunnel takes more than can be told from its options.
func unsure(options map[string]string) bool {
	for _, o := range ovsIPsec {
		if _, ok := options[o]; ok {
			return true
		}
	}
	for ext := range strings.SplitSeq(options["exts"], ",") {
		// These two use what is reserved in VXLAN's header.
		if ext != "" && ext != "gbp" && ext != "gpe" {
			return true
		}
	}
	return false
}
