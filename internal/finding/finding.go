// Package finding holds the stable codes of what virt-mtu can find wrong, with
// the severity of each. It is a table; who finds what is elsewhere.
package finding

// Severity of a finding, and status of what it is about.
type Severity string

const (
	OK       Severity = "ok"
	Info     Severity = "info"
	Warning  Severity = "warning"
	Critical Severity = "critical"
	Unknown  Severity = "unknown"
)

// Code names one kind of finding. Codes are a contract: scripts match on them.
type Code string

const (
	ConfigInvalid    Code = "config-invalid"
	HookNotLoaded    Code = "hook-not-loaded"
	HookShadowed     Code = "hook-shadowed"
	HookMissing      Code = "hook-missing"
	SELinuxEnforcing Code = "selinux-enforcing"
)

var severities = map[Code]Severity{
	ConfigInvalid:    Critical,
	HookNotLoaded:    Warning,
	HookShadowed:     Warning,
	HookMissing:      Info,
	SELinuxEnforcing: Warning,
}

// Finding is one thing that is wrong, or worth knowing.
type Finding struct {
	Code     Code     `json:"code"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"` // one sentence: what and why
	Remedy   string   `json:"remedy"`  // what to paste or to write; empty: nothing
}

// New makes a finding with its code's own severity.
func New(code Code, message, remedy string) Finding {
	return Finding{Code: code, Severity: severities[code], Message: message, Remedy: remedy}
}
