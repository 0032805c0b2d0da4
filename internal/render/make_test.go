package render

import (
	"fmt"

	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
)

// bridged makes a NIC that is ok, on a bridge with an uplink.
func bridged(n, mtu int) check.Interface {
	mac, tap := fmt.Sprintf("52:54:00:00:%02x:%02x", n>>8&255, n&255), fmt.Sprintf("vnet%d", n)
	return check.Interface{
		MAC: mac, Model: "virtio", Status: finding.OK, Type: "bridge", Source: "br0", Bridge: "br0", Device: tap,
		GuestMTU: mtu, PathMTU: mtu,
		Path: []plan.Node{
			{Kind: plan.NodeGuest, Name: mac, MTU: mtu, Parent: -1, Carries: mtu},
			{Kind: plan.NodeTap, Name: tap, MTU: 9000, Parent: 0, Carries: 9000},
			{Kind: plan.NodeBridge, Name: "br0", MTU: 9000, Parent: 1, Carries: 9000},
			{Kind: plan.NodeUplink, Name: "eth0", MTU: 9000, Parent: 2, Carries: 9000},
		},
	}
}

// faulty makes a NIC with a finding.
func faulty(n int, f finding.Finding) check.Interface {
	i := bridged(n, 9000)
	i.Status = finding.Worst([]finding.Finding{f})
	i.Findings = []finding.Finding{f}
	return i
}

// alone puts each NIC into a domain of its own on one host.
func alone(nics ...check.Interface) *check.Report {
	h := check.Host{Name: "kvm1"}
	for n, i := range nics {
		h.Domains = append(h.Domains, check.Domain{Name: fmt.Sprintf("web%d", n), State: "running", Interfaces: []check.Interface{i}})
	}
	r := &check.Report{Hosts: []check.Host{h}}
	r.Status = hostStatus(&h)
	return r
}

func crowded(n int) []check.Interface {
	var all []check.Interface
	for k := range n {
		all = append(all, bridged(k, 9000))
	}
	return all
}

// named makes a report in which every string that comes from outside is s.
func named(s string) *check.Report {
	f := finding.Finding{Code: finding.GuestAboveSegment, Severity: finding.Critical, Message: s, Remedy: s}
	i := faulty(0, f)
	i.Findings = append(i.Findings, finding.Finding{Code: finding.Code(s), Severity: finding.Severity(s), Message: s})
	i.MAC, i.Model, i.Type, i.Source, i.Bridge, i.Device = s, s, s, s, s, s
	for k := range i.Path {
		i.Path[k].Name, i.Path[k].Note = s, s
	}
	d := check.Domain{Name: s, UUID: s, State: s, Interfaces: []check.Interface{i, i}}
	h := check.Host{Name: s, Findings: i.Findings, Domains: []check.Domain{d, d}}
	other := check.Host{Name: s + "2"}
	return &check.Report{
		Status: finding.Critical,
		Hosts:  []check.Host{h, other},
		Moves:  []check.Move{{Domain: s, From: s, To: s + "2", Verdict: check.No, Findings: i.Findings}},
	}
}
