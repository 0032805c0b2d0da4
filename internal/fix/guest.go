package fix

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"virt-mtu/internal/agent"
	"virt-mtu/internal/domxml"
	"virt-mtu/internal/libvirt"
	"virt-mtu/internal/plan"
)

// guests sets the MTUs inside the guests that run, each by its agent, and tells. It comes
// after all the rest, so that a guest that does not answer keeps none of that waiting.
func (f *Fixer) guests(jobs []job, report *Report, t *plan.Topology) {
	f.Pool.EachGuest(len(jobs), func(i int, c *libvirt.Conn, err error) {
		j, r := &jobs[i], &report.Domains[i]
		switch {
		case j.live == nil || r.gone || len(r.Interfaces) == 0:
			return
		case j.status.State != "running":
			r.notes = append(r.notes, fmt.Sprintf("the guest is %s: its agent was not asked", j.status.State))
			return
		case err == nil:
			j.conn = c
			err = f.guest(r, j, t)
		}
		switch {
		case f.All && errors.Is(err, libvirt.ErrNoAgent):
			r.notes = append(r.notes, fmt.Sprintf("nothing set inside: %v", libvirt.ErrNoAgent))
		case err != nil:
			r.failToo(err)
		}
	}, nil)
}

// guest sets the MTUs inside one guest.
func (f *Fixer) guest(r *Result, j *job, t *plan.Topology) error {
	ctx, cancel := context.WithTimeout(context.Background(), f.Guest)
	defer cancel()
	var a *agent.Guest
	var errs []error
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		live, ok := plan.SameNIC(j.live.NICs, i.MAC, k)
		if !ok {
			i.notes = append(i.notes, "nothing set inside the guest: it is not plugged into the running domain")
			continue
		}
		in := t.Inside(&j.plan.NICs[k], live, f.raising(j, live.Target))
		if in.MTU == 0 {
			i.notes = append(i.notes, "nothing set inside the guest: "+in.Reason)
			continue
		}
		if a == nil {
			var err error
			if a, err = f.open(ctx, j); err != nil {
				return err
			}
		}
		if err := f.inside(r, i, a, in); err != nil {
			errs = append(errs, fmt.Errorf("NIC %s: %w", i.MAC, err))
		}
		if errors.Is(errors.Join(errs...), libvirt.ErrAgentSilent) {
			break
		}
	}
	return errors.Join(errs...)
}

// open opens a guest. One whose NICs are new has a while to see them.
func (f *Fixer) open(ctx context.Context, j *job) (*agent.Guest, error) {
	for end := time.Now().Add(f.Guest / 2); ; time.Sleep(poll) {
		a, err := agent.Open(ctx, func(ctx context.Context, command string) (string, error) {
			return j.conn.Agent(ctx, j.Domain, command)
		})
		unseen := func(n domxml.NIC) bool { return !a.Has(n.MAC) }
		if err != nil || !j.replugged || time.Now().After(end) || !slices.ContainsFunc(j.live.NICs, unseen) {
			return a, err
		}
	}
}

// raising is what a dry run would raise a tap to; 0: nothing.
func (f *Fixer) raising(j *job, device string) int {
	for _, x := range j.taps {
		if f.DryRun && x.Raise && x.Device == device {
			return x.Want
		}
	}
	return 0
}

// inside sets the MTU of one NIC inside its guest.
func (f *Fixer) inside(r *Result, i *Interface, a *agent.Guest, in plan.Inside) error {
	note := func(format string, args ...any) { i.notes = append(i.notes, fmt.Sprintf(format, args...)) }
	if in.Waits != "" {
		note("inside the guest: %s", in.Waits)
	}
	if f.DryRun {
		now, err := a.Read(i.MAC)
		if i.GuestMTU = now; err != nil {
			return err
		}
		if now == in.MTU {
			note("inside the guest: mtu %d stays", now)
		} else {
			note("inside the guest: mtu %d -> %d (%s)", now, in.MTU, in.Reason)
			r.Changed = true
		}
		return nil
	}
	c, err := a.Set(i.MAC, in.MTU)
	i.GuestMTU = c.After
	r.Changed = r.Changed || c.After != c.Before
	switch {
	case err != nil:
		return err
	case c.After == c.Before:
		note("inside the guest: %s has %d already", c.Name, c.After)
		return nil
	}
	note("inside the guest: %s: mtu %d -> %d (%s)", c.Name, c.Before, c.After, in.Reason)
	if len(c.Above) > 0 {
		note("what lies on %s in the guest keeps its own MTU, and has to be set there: %s", c.Name, strings.Join(c.Above, ", "))
	}
	switch {
	case i.Told != "virtio" || i.set != in.MTU:
		note("to last, in the guest: %s", c.Lasting)
	case i.Pending == pendingColdStart:
		note("should the guest reboot before its cold start, that is undone; after it, <mtu> tells it")
	}
	return nil
}
