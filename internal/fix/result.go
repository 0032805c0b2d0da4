package fix

import (
	"cmp"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
)

// Report is the JSON of fix. Its keys are a contract: all are always there,
// strings empty and numbers 0 where there is nothing.
type Report struct {
	Domains []Result `json:"domains"` // never nil
	// Networks are there only where networks were asked for.
	Networks []NetworkResult `json:"networks,omitempty"`
}

// Failed reports whether any domain or network failed or was refused.
func (r *Report) Failed() bool {
	for _, d := range r.Domains {
		if d.Error != "" || d.refused() {
			return true
		}
	}
	return slices.ContainsFunc(r.Networks, func(n NetworkResult) bool { return n.failed() })
}

// dropGone takes out the domains that libvirt does not know any more.
func (r *Report) dropGone() {
	r.Domains = slices.DeleteFunc(r.Domains, func(d Result) bool { return d.gone })
}

// Result is what was done, or would be, about one domain.
type Result struct {
	Name       string      `json:"name"`
	UUID       string      `json:"uuid"`
	State      string      `json:"state"`   // as virsh domstate says it
	Changed    bool        `json:"changed"` // its definition, a tap of it or something in the guest
	Error      string      `json:"error"`
	Interfaces []Interface `json:"interfaces"`

	ignored bool // by its own setting
	// retry: another try may bring another result.
	retry  bool
	gone   bool     // libvirt does not know it any more
	raised int      // taps
	hint   string   // what to do about Error
	notes  []string // lines for people, about the domain as a whole
	diff   []byte   // unified diff of the definition, without secrets
}

func (r *Result) refused() bool {
	for _, i := range r.Interfaces {
		if i.Action == plan.Refuse {
			return true
		}
	}
	return false
}

// Failure is the result for a domain that could not even be found.
func Failure(name string, err error) Result {
	r := Result{Name: name, Interfaces: []Interface{}}
	r.fail(err)
	return r
}

// fail puts an error into the result.
func (r *Result) fail(err error) {
	r.Error, r.hint = strings.ReplaceAll(err.Error(), "\n", "; "), libvirt.Hint(err)
	if content := (contentError{}); errors.As(err, &content) {
		r.hint = content.hint
	}
	if r.hint == "" && errors.Is(err, fs.ErrPermission) {
		r.hint = "run this as root: taps are the kernel's"
	}
	r.retry = !errors.Is(err, libvirt.ErrNotFound) && !errors.Is(err, errContent)
}

// failToo adds an error to what the result says already.
func (r *Result) failToo(err error) {
	before, hint := r.Error, r.hint
	r.fail(err)
	if before != "" {
		r.Error, r.hint = before+"; "+r.Error, cmp.Or(hint, r.hint)
	}
}

// Interface is one NIC. MTUs are in bytes of IP packet.
type Interface struct {
	MAC    string `json:"mac"`
	Model  string `json:"model"`
	Type   string `json:"type"`
	Source string `json:"source"` // bridge, network or lower device, as the XML names it
	Device string `json:"device"` // the tap, where the domain runs
	// Current is the definition's <mtu> before, 0: none.
	Current int         `json:"current"`
	Target  int         `json:"target"` // 0: not known, or ignored
	Reason  string      `json:"reason"`
	Action  plan.Action `json:"action"`
	Told    string      `json:"told"`    // virtio, manual, no
	Pending string      `json:"pending"` // none, cold-start
	// GuestMTU is what the guest says itself that it has, by now; 0: it was not asked, or
	// does not say.
	GuestMTU int `json:"guest_mtu"`

	set     int // the definition's <mtu> after
	ignored bool
	notes   []string // lines for people
	waits   string   // the one of them that says what waits for a cold start
}

// The values of Pending.
const (
	pendingNone      = "none"
	pendingColdStart = "cold-start"
)

func newInterface(n plan.NIC) Interface {
	i := Interface{
		MAC: n.XML.MAC, Model: n.XML.Model, Type: n.XML.Type, Source: source(n.XML), Device: n.XML.Target,
		Current: n.XML.MTU, Target: n.Target, Reason: n.Reason, Action: n.Action, Told: string(n.Told),
		Pending: pendingNone, set: n.Set, ignored: n.Ignored,
	}
	i.notes = append(i.notes, n.Warnings...)
	if n.Hint != "" {
		i.notes = append(i.notes, "hint: "+n.Hint)
	}
	return i
}

// source is what the NIC is connected to, as its XML says.
func source(n domxml.NIC) string {
	switch n.Type {
	case "network":
		return n.Network
	case "bridge":
		return n.Bridge
	}
	return n.Dev
}

// Ignored: the domain's own setting is to leave it alone, whether it has a NIC or not.
func (r *Result) Ignored() bool { return r.ignored }

// Raised is how many taps were raised.
func (r *Result) Raised() int { return r.raised }

// Retry: another try may bring another result.
func (r *Result) Retry() bool { return r.retry }

// Notes are lines for people about the domain as a whole.
func (r *Result) Notes() []string { return r.notes }

// Ignored: the admin wants the NIC left alone.
func (i *Interface) Ignored() bool { return i.ignored }

// Hint says what to do about Error; empty: nothing beyond it.
func (r *Result) Hint() string { return r.hint }

// Diff is the unified diff of the definition, without its secrets; nil where it
// was not asked for or nothing changes.
func (r *Result) Diff() []byte { return r.diff }
