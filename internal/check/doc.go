// Package check judges the facts of one or more hosts: the path of each NIC from the
// guest to the wire, what is wrong on it, and what disagrees between hosts.
//
// It reads nothing itself: facts come from package facts, and what they mean is
// package plan's to say. The report is data; package render shows it.
package check
