package fix

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
)

// NetworkResult is what was done, or would be, about one libvirt network. MTUs are in
// bytes of IP packet.
type NetworkResult struct {
	Name    string      `json:"name"`
	UUID    string      `json:"uuid"`
	State   string      `json:"state"`   // active, inactive
	Changed bool        `json:"changed"` // its definition or its bridge
	Error   string      `json:"error"`
	Bridge  string      `json:"bridge"`
	Current int         `json:"current"` // the definition's <mtu> before, 0: none
	Target  int         `json:"target"`  // 0: not known
	Reason  string      `json:"reason"`
	Action  plan.Action `json:"action"`
	Pending string      `json:"pending"` // none, net-start

	set   int    // the definition's <mtu> after
	hint  string // what to do about Error
	notes []string
	diff  []byte
}

// pendingNetStart: something waits for the network to be started anew.
const pendingNetStart = "net-start"

func (r *NetworkResult) take(p *plan.Network) {
	r.Bridge, r.Current, r.Target, r.Reason, r.Action, r.set = p.Bridge, p.Current, p.Target, p.Reason, p.Action, p.Set
	if p.Forgotten {
		r.notes = append(r.notes, "what virt-mtu had set is not there any more: forgotten")
	}
	if p.BridgeSet != 0 {
		r.notes = append(r.notes, fmt.Sprintf("bridge %s: mtu %d -> %d", p.Bridge, p.BridgeMTU, p.BridgeSet))
	}
	r.notes = append(r.notes, p.Warnings...)
	if p.Hint != "" {
		r.notes = append(r.notes, "hint: "+p.Hint)
	}
}

// describeWaiting says what of a network that runs waits for its next start: what libvirt
// tells dnsmasq it tells it then, and dnsmasq reads it then. Its router advertisements
// name what the bridge has, whenever one is sent.
func (r *NetworkResult) describeWaiting(j *networkJob) {
	if !j.plan.Waits {
		return
	}
	r.Pending = pendingNetStart
	text := "waits for the network's next start"
	if j.host.DHCP && j.host.DHCPMTU != r.set {
		text += fmt.Sprintf(": until then its DHCP server tells %s (option 26)", numberOr(j.host.DHCPMTU, "no MTU"))
	}
	name := plan.ShellWord(r.Name)
	r.notes = append(r.notes, text,
		fmt.Sprintf("hint: virsh net-destroy %s && virsh net-start %s; it takes guests that run off the network until they are started anew, or libvirt's daemon is", name, name))
}

func numberOr(mtu int, none string) string {
	if mtu == 0 {
		return none
	}
	return fmt.Sprint(mtu)
}

func (r *NetworkResult) fail(err error) {
	r.Error, r.hint = strings.ReplaceAll(err.Error(), "\n", "; "), libvirt.Hint(err)
	if content := (contentError{}); errors.As(err, &content) {
		r.hint = content.hint
	}
	if r.hint == "" && errors.Is(err, fs.ErrPermission) {
		r.hint = "run this as root: bridges are the kernel's"
	}
}

// Hint says what to do about Error; empty: nothing beyond it.
func (r *NetworkResult) Hint() string { return r.hint }

// Diff is the unified diff of the definition; nil where it was not asked for or nothing
// changes.
func (r *NetworkResult) Diff() []byte { return r.diff }

func (r *NetworkResult) failed() bool { return r.Error != "" || r.Action == plan.Refuse }

func (r *NetworkResult) verdict(dryRun bool) string {
	return verdict(r.Error != "", r.Action == plan.Refuse, r.Changed, dryRun)
}

func (r *NetworkResult) text(line func(format string, a ...any), dryRun bool) {
	state := ""
	if r.State != "" {
		state = " (" + r.State + ")"
	}
	line("network %s%s: %s", plan.Quoted(r.Name), state, r.verdict(dryRun))
	if r.Reason != "" {
		did := Interface{Action: r.Action, Current: r.Current, set: r.set, Reason: r.Reason}
		line("  %s: %s", orNone(r.Bridge), did.did())
	}
	for _, n := range r.notes {
		line("  %s", n)
	}
}
