// Package policy reads what the admin wants: the config file, and the per-domain
// setting kept in a domain's metadata. Both are decoded raw and then validated
// into the types that the planner uses.
//
// It does not know what a segment carries or what a NIC can do.
package policy
