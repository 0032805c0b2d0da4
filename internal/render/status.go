package render

import (
	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

func status(i *check.Interface) finding.Severity {
	return finding.Worse(finding.OK, i.Status)
}

func domainStatus(d *check.Domain) finding.Severity {
	worst := finding.OK
	for i := range d.Interfaces {
		worst = finding.Worse(worst, d.Interfaces[i].Status)
	}
	return worst
}

func hostStatus(h *check.Host) finding.Severity {
	worst := finding.Worst(h.Findings)
	for i := range h.Domains {
		worst = finding.Worse(worst, domainStatus(&h.Domains[i]))
	}
	return worst
}
