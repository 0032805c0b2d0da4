package check

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/host"
	"virt-mtu/internal/policy"
)

// busy is a host with as many running domains and taps on one bridge.
func busy(t testing.TB, many int) facts.Facts {
	var text strings.Builder
	text.WriteString("br0 bridge 9000\neth0 ixgbe 9000 master=br0\n")
	f := facts.Facts{Version: facts.Version}
	for i := range many {
		fmt.Fprintf(&text, "vnet%d tap 9000 master=br0\n", i)
		tap := fmt.Sprintf("<target dev='vnet%d'/>", i)
		nic := strings.Replace(nicXML("bridge", "bridge='br0'", "virtio", tap+mtuXML(9000)), "00:00:01", fmt.Sprintf("%02x:%02x:%02x", i>>16&255, i>>8&255, i&255), 1)
		f.Domains = append(f.Domains, facts.Domain{
			Name: fmt.Sprintf("d%d", i), State: "running", LiveXML: domainXML(nic), PersistentXML: domainXML(strings.Replace(nic, tap, "", 1)),
		})
	}
	f.Snapshot = host.Snapshot{Host: "kvm1", Links: links(t, text.String())}
	return f
}

// Judging thousands of domains on one bridge; with the reading of their facts.
func BenchmarkRun(b *testing.B) {
	for _, many := range []int{1000, 4000} {
		f := busy(b, many)
		var file bytes.Buffer
		if err := f.Encode(&file); err != nil {
			b.Fatal(err)
		}
		b.Run(fmt.Sprintf("judge/%d", many), func(b *testing.B) {
			for b.Loop() {
				if r := Run([]facts.Facts{f}, Options{Config: policy.Default()}); r.Status != "ok" {
					b.Fatal(r.Status)
				}
			}
		})
		b.Run(fmt.Sprintf("decode/%d", many), func(b *testing.B) {
			for b.Loop() {
				if _, err := facts.Decode(bytes.NewReader(file.Bytes())); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
