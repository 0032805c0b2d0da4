package fix

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/host"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/nicmodel"
	"virt-mtu/internal/plan"
)

// Replug is how to plug NICs of running domains out and in again.
type Replug struct {
	// Dial makes a connection that outlives an interrupt: what is out has to go in again.
	Dial func() (*libvirt.Conn, error)
	// Record keeps what is out, for the next run should this one be killed.
	Record Record
	// Patience is how long a guest has to let go of a NIC.
	Patience time.Duration
	// Stop is closed by an interrupt: then no further NIC is begun.
	Stop <-chan struct{}
	// Warn is told before a link drops.
	Warn func(string)

	conn *libvirt.Conn // of the last step, if it is still good
}

// Record is where it is noted which NIC of a domain is out: a state.Dir.
type Record interface {
	MarkUnplugged(uuid, xml string) error
	Unplugged(uuid string) (xml string, err error)
	ClearUnplugged(uuid string) error
}

// poll is how often it is looked whether a NIC has gone.
const poll = 300 * time.Millisecond

// replugs plugs the NICs that wait for a cold start out and in again, one at a time.
func (f *Fixer) replugs(jobs []job, report *Report, networks []host.Network) {
	defer f.Replug.close()
	for i := range jobs {
		j, r := &jobs[i], &report.Domains[i]
		if j.live == nil || j.definition == nil || r.Error != "" {
			continue
		}
		if err := f.replugDomain(r, j); err != nil {
			r.failToo(err)
		}
		if j.replugged {
			f.seeAgain(r, j, networks)
		}
	}
}

func (f *Fixer) replugDomain(r *Result, j *job) error {
	if !f.DryRun {
		if err := f.putBackOld(r, j); err != nil {
			return err
		}
	}
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		live, ok := plan.SameNIC(j.live.NICs, i.MAC, k)
		if !ok || i.Pending != pendingColdStart {
			continue
		}
		if why := i.staysIn(live); why != "" {
			i.notes = append(i.notes, "not plugged in anew: "+why)
			continue
		}
		if why := replugRefused(j, i, live, f.Force); why != nil {
			return why
		}
		r.Changed = true
		if f.DryRun {
			i.notes = append(i.notes, "would be plugged out and in again: its link drops meanwhile")
			continue
		}
		select {
		case <-f.Replug.Stop:
			return fmt.Errorf("NIC %s was not plugged in anew: interrupted", i.MAC)
		default:
		}
		f.Replug.Warn(fmt.Sprintf("%s: NIC %s is plugged out and in again: its link drops now", plan.Quoted(j.Name), i.MAC))
		j.replugged = true
		out := plug{Replug: f.Replug, domain: j.Domain, mac: i.MAC, mtu: i.set}
		if err := out.again(); err != nil {
			return fmt.Errorf("plug NIC %s in anew: %w", i.MAC, err)
		}
		i.notes = append(i.notes, fmt.Sprintf("plugged out and in again: it runs with <mtu> %s now", mtu(i.set)))
		i.settled()
	}
	return nil
}

// staysIn says why a NIC that waits for a cold start gains nothing by being plugged in
// anew; empty: it may.
func (i *Interface) staysIn(live domxml.NIC) string {
	if live.Network != "" {
		live.Type = "network" // as its definition has it: the running domain's may be what that came to
	}
	switch {
	case i.ignored:
		return "it is to be left alone"
	case i.Told != string(nicmodel.ToldVirtio):
		return fmt.Sprintf("model %s is told nothing by that", orNone(i.Model))
	case live.Type != i.Type || source(live) != i.Source || live.Model != i.Model:
		// It goes in as it runs, and the <mtu> is for what the definition says.
		return "its definition has another model or is plugged into something else, which a cold start alone brings"
	}
	return ""
}

// settled: nothing waits for a cold start any more.
func (i *Interface) settled() {
	i.Pending = pendingNone
	i.notes = without(i.notes, i.waits)
	i.waits = ""
}

func without(notes []string, note string) []string {
	var left []string
	for _, n := range notes {
		if n != note {
			left = append(left, n)
		}
	}
	return left
}

// replugRefused says why a NIC is not to be touched; nil: it may be.
func replugRefused(j *job, i *Interface, live domxml.NIC, force bool) error {
	same := 0
	for _, n := range j.live.NICs {
		if n.MAC == i.MAC {
			same++
		}
	}
	switch {
	case j.status.State != "running":
		return contentError{fmt.Errorf("NIC %s was not plugged in anew: the domain is %s, and its guest cannot let go of it", i.MAC, j.status.State), ""}
	case same > 1 || !nicmodel.LookupType(live.Type).Inject:
		return contentError{fmt.Errorf("NIC %s was not plugged in anew: its MAC address is not its own, or it is of type %s", i.MAC, live.Type), ""}
	case len(j.live.NICs) == 1 && !force:
		return contentError{fmt.Errorf("NIC %s was not plugged in anew: it is the only one, and the guest would be without a network meanwhile", i.MAC),
			"add --force if that may be, or cold-start the domain"}
	}
	return nil
}

// putBackOld plugs in what an earlier run has left out, or has asked the guest to let go
// of and the guest has since.
func (f *Fixer) putBackOld(r *Result, j *job) error {
	xml, err := f.Replug.Record.Unplugged(j.UUID)
	if err != nil || xml == "" {
		return err
	}
	old, err := parseInterface(xml)
	if err != nil {
		return errors.Join(err, f.Replug.Record.ClearUnplugged(j.UUID))
	}
	mac, set := old.NICs[0].MAC, old.NICs[0].MTU
	if _, in := plan.SameNIC(j.live.NICs, mac, -1); in {
		return nil // it begins with a record of its own
	}
	var waiting *Interface
	for k := range r.Interfaces {
		if i := &r.Interfaces[k]; i.MAC == mac {
			waiting, set = i, i.set
		}
	}
	if waiting == nil { // somebody has taken it out of the definition since
		return f.Replug.Record.ClearUnplugged(j.UUID)
	}
	j.replugged = true
	p := plug{Replug: f.Replug, domain: j.Domain, mac: mac, mtu: set}
	if err := p.in(string(old.Interface(0, set)), xml); err != nil {
		return fmt.Errorf("plug NIC %s in again: %w", mac, err)
	}
	r.Changed = true
	waiting.notes = append(waiting.notes, "plugged in again: an earlier run had left it out")
	waiting.settled()
	return nil
}

// parseInterface reads an <interface> that stands alone.
func parseInterface(xml string) (*domxml.Document, error) {
	doc, err := domxml.Parse([]byte("<domain><devices>" + xml + "</devices></domain>"))
	if err == nil && len(doc.NICs) != 1 {
		err = errors.New("there is not one interface in it")
	}
	if err != nil {
		return nil, fmt.Errorf("read what was taken out: %w", err)
	}
	return doc, nil
}

// plug is one NIC on its way out of a running domain and in again.
type plug struct {
	*Replug
	domain libvirt.Domain
	mac    string
	mtu    int // that it comes in with; 0: none
}

// errStopped: there is nothing left to put anything into.
var errStopped = errors.New("the domain has stopped meanwhile: its next start is a cold one")

// again plugs it out and in again. With an error it is as it was before, where the error
// does not say otherwise.
func (p *plug) again() error {
	var xml, old, fresh string
	err := p.with(func(c *libvirt.Conn) error {
		live, err := document(c.LiveXML(p.domain))
		if err != nil {
			return err
		}
		plain, err := document(c.PlainXML(p.domain))
		if err != nil {
			return err
		}
		a, b := index(live, p.mac), index(plain, p.mac)
		if a < 0 || b < 0 {
			return errMeanwhile
		}
		xml = string(live.Interface(a, live.NICs[a].MTU))
		old = string(plain.Interface(b, plain.NICs[b].MTU))
		fresh = string(plain.Interface(b, p.mtu))
		return holdsOn(xml, old)
	})
	if err != nil {
		return err
	}
	takeBack, err := p.note(old)
	if err != nil {
		return err
	}
	err = p.with(func(c *libvirt.Conn) error { return c.Detach(p.domain, xml) })
	if err != nil && !uncertain(err) {
		return errors.Join(err, takeBack()) // libvirt or QEMU has refused: nothing was done
	}
	if err := p.gone(); err != nil {
		return err
	}
	return p.in(fresh, old)
}

// holdsOn says what of a running NIC would be lost or broken by plugging it in anew: what
// was set for the running domain alone and is not in its plain XML, and a pair with a
// device that is passed through.
func holdsOn(live, plain string) error {
	switch {
	case strings.Contains(live, "<teaming"):
		return contentError{errors.New("it is one of a pair with another (<teaming>), which it would leave"), "cold-start the domain"}
	case strings.Contains(live, "<bandwidth") && !strings.Contains(plain, "<bandwidth"):
		return contentError{errors.New("its bandwidth was limited for the running domain alone, and would not be any more"), "set it with --config too (virsh domiftune), or cold-start the domain"}
	}
	return nil
}

// note notes what is about to be taken out, and returns how to take that back. What an
// earlier run has noted is noted again then: the guest that it has asked may still let go,
// and QEMU refuses to ask twice ("already in the process of unplug").
func (p *plug) note(xml string) (takeBack func() error, err error) {
	earlier, err := p.Record.Unplugged(p.domain.UUID)
	if err != nil {
		return nil, err
	}
	takeBack = func() error { return p.Record.ClearUnplugged(p.domain.UUID) }
	if earlier != "" {
		takeBack = func() error { return p.Record.MarkUnplugged(p.domain.UUID, earlier) }
	}
	return takeBack, p.Record.MarkUnplugged(p.domain.UUID, xml)
}

// gone waits for the guest to let go of the NIC.
func (p *plug) gone() error {
	for end := time.Now().Add(p.Patience); ; time.Sleep(poll) {
		_, there, err := p.now()
		switch {
		case err == nil && !there:
			return nil
		case errors.Is(err, errStopped):
			return errors.Join(err, p.Record.ClearUnplugged(p.domain.UUID))
		case time.Now().After(end) && err != nil:
			return fmt.Errorf("it is not known whether it is out: %w", err)
		case time.Now().After(end):
			// Nothing takes a device_del back: QEMU carries it out when the machine is
			// reset, if not before (hw/acpi/pcihp.c, acpi_pcihp_update).
			return contentError{
				fmt.Errorf("the guest has not let go of it within %v: it is in and works as before, but comes out when the guest next reboots, or lets go of it after all", p.Patience),
				fmt.Sprintf("cold-start the domain, which puts all right (virsh shutdown %[1]s, then virsh start); or when the NIC is out: virt-mtu fix --replug %[1]s", plan.ShellWord(p.domain.Name)),
			}
		}
	}
}

// in plugs the NIC in with its MTU, or where that fails as it was.
func (p *plug) in(fresh, old string) error {
	err := p.attach(fresh, p.mtu)
	if err == nil {
		return p.Record.ClearUnplugged(p.domain.UUID)
	}
	if errors.Is(err, errStopped) {
		return errors.Join(err, p.Record.ClearUnplugged(p.domain.UUID))
	}
	doc, perr := parseInterface(old)
	if perr != nil {
		return errors.Join(err, perr)
	}
	var back error
	for range tries {
		if back = p.attach(old, doc.NICs[0].MTU); back == nil || errors.Is(back, errStopped) {
			break
		}
		time.Sleep(time.Second)
	}
	if back == nil {
		return errors.Join(fmt.Errorf("%w; it was put back as it was", err), p.Record.ClearUnplugged(p.domain.UUID))
	}
	// What libvirt has not answered may have been done after all, and keep the rest out.
	n, there, now := p.now()
	switch {
	case errors.Is(now, errStopped):
		return errors.Join(now, p.Record.ClearUnplugged(p.domain.UUID))
	case there && n.MTU == p.mtu:
		return p.Record.ClearUnplugged(p.domain.UUID)
	case there:
		return errors.Join(fmt.Errorf("%w; it is in, with <mtu> %s", err, mtu(n.MTU)), p.Record.ClearUnplugged(p.domain.UUID))
	}
	return contentError{fmt.Errorf("%w; and it could not be put back: THE GUEST IS WITHOUT IT: %w", err, back),
		"when the cause is put right: virt-mtu fix --replug " + plan.ShellWord(p.domain.Name)}
}

// attach plugs an interface in and sees that it is there, with its MTU: that is what QEMU
// was told as host_mtu.
func (p *plug) attach(xml string, mtu int) error {
	err := p.with(func(c *libvirt.Conn) error { return c.Attach(p.domain, xml) })
	if err != nil && !uncertain(err) {
		if _, _, now := p.now(); errors.Is(now, errStopped) {
			return now
		}
		return err
	}
	n, there, now := p.now()
	switch {
	case now != nil:
		return errors.Join(err, now)
	case !there && err != nil:
		return err
	case !there:
		return errors.New("libvirt says yes, and does not show it")
	case n.MTU != mtu:
		return fmt.Errorf("libvirt says yes, and shows it with an <mtu> of %d", n.MTU)
	}
	return nil
}

// now looks for the NIC in the running domain. errStopped: there is none.
func (p *plug) now() (n domxml.NIC, there bool, err error) {
	err = p.with(func(c *libvirt.Conn) error {
		status, err := c.Status(p.domain)
		if err != nil {
			return err
		}
		if !status.Active {
			return errStopped
		}
		doc, err := document(c.LiveXML(p.domain))
		if err == nil {
			n, there = plan.SameNIC(doc.NICs, p.mac, -1)
		}
		return err
	})
	return n, there, err
}

// with lends a connection for one step, a new one where the last is gone.
func (p *Replug) with(do func(*libvirt.Conn) error) error {
	if p.conn == nil || p.conn.Err() != nil {
		p.close()
		conn, err := p.Dial()
		if err != nil {
			return err
		}
		p.conn = conn
	}
	return do(p.conn)
}

func (p *Replug) close() {
	if p.conn != nil {
		p.conn.Close()
		p.conn = nil
	}
}

// uncertain: what was asked of libvirt may have been done, or still be.
func uncertain(err error) bool {
	return errors.Is(err, libvirt.ErrTimeout) || errors.Is(err, libvirt.ErrLost)
}

// index of the one NIC with that MAC address; -1 where there is none, or another with it.
func index(doc *domxml.Document, mac string) int {
	at := -1
	for i, n := range doc.NICs {
		switch {
		case n.MAC != mac:
		case at >= 0:
			return -1
		default:
			at = i
		}
	}
	return at
}

// seeAgain looks at a domain whose NICs are new, and raises their taps: libvirt has set
// them to the <mtu>, where their bridge may have more.
func (f *Fixer) seeAgain(r *Result, j *job, networks []host.Network) {
	err := f.Replug.with(func(c *libvirt.Conn) error {
		v, _, err := read(c, j.Domain)
		if err == nil {
			j.view = v
		}
		return err
	})
	if err != nil {
		r.failToo(err)
		return
	}
	j.taps, j.parts = nil, nil
	f.raise(j, f.topology(networks))
	if err := errors.Join(j.err, j.parts); err != nil {
		r.failToo(err)
	}
	for k := range r.Interfaces {
		if n, ok := plan.SameNIC(liveNICs(j), r.Interfaces[k].MAC, k); ok {
			r.Interfaces[k].Device = n.Target
		}
	}
}

func liveNICs(j *job) []domxml.NIC {
	if j.live == nil {
		return nil
	}
	return j.live.NICs
}
