package render

import (
	"virt-mtu/internal/check"
	"virt-mtu/internal/finding"
)

// escapes are the colours of a terminal. They add nothing to what the words say.
var escapes = map[finding.Severity]string{
	finding.Critical: "\x1b[31m", // red
	finding.Warning:  "\x1b[33m", // yellow
	finding.Unknown:  "\x1b[35m", // magenta
	finding.OK:       "\x1b[32m", // green
}

// verdicts are coloured as severities are.
var verdicts = map[string]finding.Severity{
	check.Yes:       finding.OK,
	check.No:        finding.Critical,
	check.Undecided: finding.Unknown,
}

func (p *printer) paint(s finding.Severity, text string) string {
	if escape := escapes[s]; p.Color && escape != "" {
		return escape + text + "\x1b[0m"
	}
	return text
}
