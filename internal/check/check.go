package check

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"virt-mtu/internal/domxml"
	"virt-mtu/internal/facts"
	"virt-mtu/internal/finding"
	"virt-mtu/internal/plan"
	"virt-mtu/internal/policy"
)

// Options say what to look at.
type Options struct {
	Config policy.Config
	// Names of domains; empty: all, and the host's links that no domain uses.
	Names []string
	// NoMoves leaves out which domain could migrate to which of the other hosts: there
	// are as many answers as domains times hosts.
	NoMoves bool
}

// Run judges the facts of some hosts. What is wrong with one domain is a finding of
// its host; the others are judged all the same.
func Run(all []facts.Facts, o Options) Report {
	r := Report{Status: finding.OK, Hosts: []Host{}, Moves: []Move{}}
	all = Numbered(all)
	hosts := make([]*subject, len(all))
	for i := range all {
		hosts[i] = newSubject(&all[i], o)
		hosts[i].inspect(o)
	}
	if len(o.Names) == 0 {
		compare(hosts)
	}
	for _, h := range hosts {
		if !o.NoMoves {
			r.Moves = append(r.Moves, h.moves(hosts, o.Config)...)
		}
		r.Hosts = append(r.Hosts, h.report())
	}
	for _, h := range r.Hosts {
		r.Status = finding.Worse(r.Status, finding.Worst(h.Findings))
		for _, d := range h.Domains {
			for _, i := range d.Interfaces {
				r.Status = finding.Worse(r.Status, i.Status)
			}
		}
	}
	return r
}

// Missing returns the names that none of the facts has a domain of, by name or UUID.
func Missing(all []facts.Facts, names []string) []string {
	known := map[string]bool{}
	for _, f := range all {
		for _, d := range f.Domains {
			known[d.Name], known[d.UUID] = true, true
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(n string) bool { return known[n] })
}

// subject is one host being judged.
type subject struct {
	*facts.Facts
	topology *plan.Topology
	findings []finding.Finding
	domains  []domain
}

// domain is one that is looked at.
type domain struct {
	*facts.Domain
	definition, live, saved *domxml.Domain
	nics                    []plan.Inspection
	findings                []finding.Finding // go to the host
}

func newSubject(f *facts.Facts, o Options) *subject {
	s := &subject{Facts: f, topology: plan.NewTopology(&f.Snapshot)}
	for i := range f.Domains {
		d := &f.Domains[i]
		if len(o.Names) == 0 || slices.Contains(o.Names, d.Name) || slices.Contains(o.Names, d.UUID) {
			s.domains = append(s.domains, domain{Domain: d})
		}
	}
	slices.SortStableFunc(s.domains, func(a, b domain) int { return cmp.Compare(a.Name, b.Name) })
	return s
}

func (s *subject) inspect(o Options) {
	s.findings = append(s.findings, s.Hook...)
	for _, u := range s.Unread {
		s.findings = append(s.findings, finding.New(finding.NotKnown, u, ""))
	}
	s.each(func(d *domain) { d.inspect(s.topology, o.Config) })
	var peers []plan.Peer
	for i := range s.domains {
		d := &s.domains[i]
		s.findings = append(s.findings, d.findings...)
		for k := range d.nics {
			peers = append(peers, plan.Peer{Domain: d.Name, Inspection: &d.nics[k]})
		}
	}
	plan.Peers(peers)
	if len(o.Names) == 0 {
		s.findings = append(s.findings, s.topology.Survey()...)
	}
}

// each works on the domains, as many at once as there are processors: most of the
// time goes into reading XML.
func (s *subject) each(do func(*domain)) {
	var wg sync.WaitGroup
	var next atomic.Int64
	for range min(runtime.GOMAXPROCS(0), len(s.domains)) {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for i := next.Add(1) - 1; i < int64(len(s.domains)); i = next.Add(1) - 1 {
				do(&s.domains[i])
			}
		}()
	}
	wg.Wait()
}

func (d *domain) find(code finding.Code, remedy, format string, a ...any) {
	d.findings = append(d.findings, finding.New(code, fmt.Sprintf(format, a...), remedy))
}

func (d *domain) inspect(t *plan.Topology, config policy.Config) {
	d.read()
	guests := map[string]int{}
	for _, g := range d.Guests {
		guests[g.MAC] = g.MTU
	}
	var err error
	d.nics, err = plan.Inspect(plan.Subject{
		Name: d.Name, Definition: d.definition, Live: d.live, Saved: d.saved,
		Guests: guests, Host: t, Config: config,
	})
	if err != nil {
		d.find(finding.ConfigInvalid, plan.MetadataRemedy(d.Name, err), "domain %s: %v", plan.Quoted(d.Name), err)
	}
}

// read reads the domain's XML.
func (d *domain) read() {
	if d.Error != "" {
		d.find(finding.NotKnown, "", "domain %s: %s", plan.Quoted(d.Name), d.Error)
	}
	d.definition = d.parse("definition", d.PersistentXML)
	d.saved = d.parse("managed save image", d.SavedXML)
	d.live = d.parse("running XML", d.LiveXML)
}

func (d *domain) parse(what, xml string) *domxml.Domain {
	if xml == "" {
		return nil
	}
	doc, err := domxml.Parse([]byte(xml))
	if err != nil {
		d.find(finding.NotKnown, "", "domain %s: read its %s: %v", plan.Quoted(d.Name), what, err)
		return nil
	}
	return &doc.Domain
}

func (s *subject) report() Host {
	h := Host{Name: s.Host, Findings: append([]finding.Finding{}, s.findings...), Domains: []Domain{}}
	for i := range s.domains {
		d := &s.domains[i]
		out := Domain{Name: d.Name, UUID: d.UUID, State: d.State, Interfaces: []Interface{}}
		for k := range d.nics {
			out.Interfaces = append(out.Interfaces, newInterface(&d.nics[k]))
		}
		h.Domains = append(h.Domains, out)
	}
	return h
}

func newInterface(n *plan.Inspection) Interface {
	i := Interface{
		MAC: n.XML.MAC, Model: n.XML.Model, Type: n.XML.Type, Bridge: n.Bridge, Device: n.XML.Target,
		Source:   cmp.Or(n.XML.Network, n.XML.Dev, n.XML.Socket, n.XML.Address, n.XML.Bridge),
		GuestMTU: n.Guest, PathMTU: n.PathMTU, Path: n.Path,
		Status: finding.Worst(n.Findings), Findings: append([]finding.Finding{}, n.Findings...),
	}
	slices.SortStableFunc(i.Findings, finding.Order) // peers have added theirs
	return i
}
