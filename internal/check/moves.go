package check

import (
	"errors"
	"fmt"
	"slices"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// Destination is a host that domains are to migrate to.
type Destination struct {
	// Name for the report; empty: as its facts have it.
	Name  string
	Facts facts.Facts
	// Remedy says how to get to know more of it; empty: all is known.
	Remedy string
	// Err says why there are no facts.
	Err error
}

// Migration is the JSON of check --migrate-to. Its keys are a contract, as Report's are.
type Migration struct {
	Moves []Move `json:"moves"`
}

// Migrate says of the domains of some hosts whether they could migrate to others. A
// domain that none of them has is in it, as one of which that is not known.
//
// What is judged is whether libvirt finds what the domain names, and whether its large
// packets get through there. That is so whatever the destination's hook would do: the
// config, which may have it let everybody in, counts for nothing but its rules.
func Migrate(from []facts.Facts, to []Destination, o Options) Migration {
	m := Migration{Moves: []Move{}}
	from, to = slices.Clone(from), slices.Clone(to)
	topologies := make([]*plan.Topology, len(to))
	taken := map[string]bool{}
	for i := range from {
		from[i].Host = distinct(from[i].Host, taken)
	}
	for i := range to {
		d := &to[i]
		if d.Name == "" {
			d.Name = d.Facts.Host
		}
		d.Name = distinct(d.Name, taken)
		topologies[i] = plan.NewTopology(&d.Facts.Snapshot)
	}
	for i := range from {
		s := newSubject(&from[i], o)
		s.each((*domain).read)
		for k := range s.domains {
			for n := range to {
				m.Moves = append(m.Moves, s.domains[k].move(s.Host, &to[n], topologies[n], o.Config))
			}
		}
	}
	for _, name := range Missing(from, o.Names) {
		for _, d := range to {
			m.Moves = append(m.Moves, Move{Domain: name, To: d.Name, Verdict: Undecided, Findings: []finding.Finding{
				finding.New(finding.NotKnown, "no domain "+plan.Quoted(name), "virsh list --all"),
			}})
		}
	}
	return m
}

// Status is the worst of the moves: critical where a domain cannot move; unknown where
// of one that is not known, and so more than a warning about those that can.
func (m *Migration) Status() finding.Severity {
	status := finding.OK
	unknown := false
	for i := range m.Moves {
		switch m.Moves[i].Verdict {
		case No:
			return finding.Critical
		case Undecided:
			unknown = true
		default:
			status = finding.Worse(status, finding.Worst(m.Moves[i].Findings))
		}
	}
	if unknown {
		return finding.Unknown
	}
	return status
}

// moves says for each domain of a host which of the other hosts it could migrate to.
func (s *subject) moves(hosts []*subject, config policy.Config) []Move {
	var out []Move
	for i := range s.domains {
		d := &s.domains[i]
		if d.moving() == nil {
			continue // that it could not be read is a finding of its host
		}
		for _, to := range hosts {
			if to == s {
				continue
			}
			there := Destination{Name: to.Host}
			if len(to.Links) == 0 && len(to.Unread) > 0 { // not without a bridge: not seen
				there.Err = errors.New(to.Unread[0])
			}
			out = append(out, d.move(s.Host, &there, to.topology, config))
		}
	}
	return out
}

// moving is what migrates: what runs, and of a domain that does not its definition.
func (d *domain) moving() *domxml.Domain {
	if d.live != nil {
		return d.live
	}
	return d.definition
}

func (d *domain) move(from string, to *Destination, there *plan.Topology, config policy.Config) Move {
	m := Move{Domain: d.Name, State: d.State, From: from, To: to.Name, Verdict: Undecided, Findings: []finding.Finding{}}
	xml := d.moving()
	switch {
	case to.Err != nil:
		m.Findings = append(m.Findings, finding.New(finding.NotKnown, fmt.Sprintf("%s could not be asked: %v", plan.Quoted(to.Name), to.Err), to.Remedy))
		return m
	case xml == nil:
		m.Findings = append(m.Findings, d.findings...)
		if len(m.Findings) == 0 {
			m.Findings = append(m.Findings, finding.New(finding.NotKnown, "its XML is not in the facts", ""))
		}
		return m
	}
	found, err := plan.Move(*xml, there, plan.Quoted(to.Name), config)
	if err != nil {
		m.Findings = append(m.Findings, finding.New(finding.ConfigInvalid, err.Error(), ""))
		return m
	}
	m.Verdict = verdict(found)
	for _, f := range found {
		switch {
		case f.Code == finding.NotKnown && f.Remedy == "":
			f.Remedy = to.Remedy
		case f.Remedy != "":
			f.Remedy = "# on " + plan.Quoted(to.Name) + ":\n" + f.Remedy
		}
		m.Findings = append(m.Findings, f)
	}
	return m
}

// verdict: what vanishes there or has nothing to be plugged into cannot move.
func verdict(found []finding.Finding) string {
	v := Yes
	for _, f := range found {
		switch {
		case f.Severity == finding.Critical || f.Code == finding.BridgeMissing:
			return No
		case f.Severity == finding.Unknown:
			v = Undecided
		}
	}
	return v
}
