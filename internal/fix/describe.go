package fix

import (
	"fmt"

	"virt-mtu/internal/plan"
)

// describeTaps adds what was done about the taps, or would be.
func (f *Fixer) describeTaps(r *Result, taps []plan.Tap) {
	for _, t := range taps {
		switch {
		case t.Raise:
			r.Changed = true
			r.raised++
			r.notes = append(r.notes, fmt.Sprintf("tap %s: mtu %d -> %d (%s)", t.Device, t.MTU, t.Want, t.Reason))
			if f.DryRun && t.Above {
				r.notes = append(r.notes, fmt.Sprintf("bridge %s may go up with it: then more is done than is said here", t.Bridge))
			}
		case t.Want == 0:
			r.notes = append(r.notes, fmt.Sprintf("tap %s left as it is: %s", t.Device, t.Reason))
		}
	}
}

// describeDone has a NIC that an earlier attempt has set say what that did.
func describeDone(r *Result, j *job) {
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		if done, ok := j.done[i.MAC]; ok && i.Action == plan.None && i.set == done.set {
			*i = done
		}
	}
}

// describeRunning adds what only the running domain, or its saved image, shows:
// the taps, and what waits for a cold start.
func describeRunning(r *Result, j *job) {
	running := j.live
	if running == nil {
		running = j.saved
	}
	if running == nil {
		return
	}
	for k := range r.Interfaces {
		i := &r.Interfaces[k]
		n, ok := plan.SameNIC(running.NICs, i.MAC, k)
		if !ok {
			continue
		}
		if j.live != nil {
			i.Device = n.Target
		}
		if n.MTU == i.set {
			continue
		}
		i.Pending = pendingColdStart
		i.waits = waiting(j, i, n.MTU)
		i.notes = append(i.notes, i.waits)
	}
	for _, n := range running.NICs {
		if _, ok := plan.SameNIC(j.definition.NICs, n.MAC, -1); !ok {
			r.notes = append(r.notes, fmt.Sprintf("NIC %s (%s) was plugged into the running domain alone: there is nothing to write for it", n.MAC, orNone(n.Target)))
		}
	}
}

// waiting says what a running or saved guest waits for.
func waiting(j *job, i *Interface, now int) string {
	has := "no <mtu>"
	if now != 0 {
		has = fmt.Sprintf("<mtu size='%d'/>", now)
	}
	if j.saved != nil {
		return fmt.Sprintf("waits for a cold start: the managed save image has %s, and virsh start takes the image; shut the guest down after that, or drop the image (virsh managedsave-remove %s)", has, plan.ShellWord(j.Name))
	}
	return fmt.Sprintf("waits for a cold start: the running guest has %s, which cannot change while it runs (virsh shutdown %s, then virsh start)", has, plan.ShellWord(j.Name))
}
