package facts

import "virt-mtu/internal/finding"

// ofHook are the codes of what is found wrong with libvirt's hook.
var ofHook = map[finding.Code]bool{
	finding.HookMissing:      true,
	finding.HookNotLoaded:    true,
	finding.HookShadowed:     true,
	finding.SELinuxEnforcing: true,
	finding.ConfigInvalid:    true,
}

// rebuilt is a finding as this virt-mtu knows it. Whoever wrote the facts says what is
// wrong; how badly is the table's to say, and what to do only where it is about the hook.
func rebuilt(f finding.Finding) finding.Finding {
	switch {
	case !finding.Known(f.Code):
		return finding.New(finding.NotKnown, f.Message, "")
	case !ofHook[f.Code]:
		return finding.New(f.Code, f.Message, "")
	}
	return finding.New(f.Code, f.Message, f.Remedy)
}
