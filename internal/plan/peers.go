package plan

import (
	"fmt"
	"slices"

	"virt-mtu/internal/finding"
)

// Peer is a NIC among those of its host.
type Peer struct {
	Domain string
	*Inspection
}

// Peers finds NICs on one segment that work with another MTU than most of the others
// there: a segment cannot tell a sender that a packet is too large for who is to have
// it. What is usual is for those to say that run and know their MTU; where none does,
// for those that will.
func Peers(all []Peer) {
	segments := map[string][]Peer{}
	for _, p := range all {
		if p.Segment != "" && p.Guest != 0 {
			segments[p.Segment] = append(segments[p.Segment], p)
		}
	}
	for _, peers := range segments {
		usual, others := usual(peers)
		if usual == 0 {
			continue
		}
		for _, p := range peers {
			if p.Guest == usual || p.Ignored || !p.Told && !p.has(finding.GuestNotTold) {
				continue
			}
			p.Findings = append(p.Findings, finding.New(finding.PeerMismatch,
				fmt.Sprintf("the guest has %d where others on %s have %d (%s): a segment has to have one MTU", p.Guest, p.Bridge, usual, some(others, 3)),
				p.follow(usual)))
		}
	}
}

// follow is how a NIC comes to what the others have.
func (p Peer) follow(usual int) string {
	if !p.Told {
		return "virt-mtu fix " + ShellWord(p.Domain) + " # then a cold start"
	}
	return fmt.Sprintf("virsh edit %s # <mtu size='%d'/> for the NIC with %s, then a cold start; or bring the others to %d", ShellWord(p.Domain), usual, printable(p.XML.MAC), p.Guest)
}

func (i *Inspection) has(code finding.Code) bool {
	return slices.ContainsFunc(i.Findings, func(f finding.Finding) bool { return f.Code == code })
}

// usual is the MTU that most have, of as many the larger, and who has it; 0: nobody
// says. Who was told nothing has no say: 1500 of such a guest may be another by now.
func usual(peers []Peer) (mtu int, who []string) {
	for _, running := range []bool{true, false} {
		count := map[int]int{}
		for _, p := range peers {
			if p.Told && p.Running == running {
				count[p.Guest]++
			}
		}
		for m, n := range count {
			if n > count[mtu] || n == count[mtu] && m > mtu {
				mtu = m
			}
		}
		if mtu == 0 {
			continue
		}
		for _, p := range peers {
			if p.Told && p.Running == running && p.Guest == mtu && !slices.Contains(who, p.Domain) && len(who) < 100 {
				who = append(who, p.Domain)
			}
		}
		break
	}
	return mtu, who
}
