package facts

// bounds are the most elements that the lists of facts may have, those of one name
// together: a list of {} is some fifty times as large in memory as in its file. No host
// comes near.
var bounds = map[string]int{
	"links":                        100_000,
	"links.tunnel.remotes":         100_000,
	"networks":                     100_000,
	"ovs.bridges":                  100_000,
	"ovs.bridges.ports":            100_000,
	"ovs.bridges.ports.interfaces": 100_000,
	"ovs.bridges.ports.interfaces.tunnel.remotes": 100_000,
	"pci":            100_000,
	"unread":         1_000,
	"hook":           1_000,
	"domains":        100_000,
	"domains.guests": 100_000,
}
