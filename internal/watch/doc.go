// Package watch is the daemon: it turns what happens on a host into the same fix as
// the command's. libvirt tells of domains, the kernel of links, the hook leaves
// requests in a queue.
//
// An event only marks what may not be right any more. One reconcile does the work, by
// what it finds then, so that to do it twice changes nothing. What a definition or a
// tap should be is package plan's to say, and up is the only way that anything goes by
// itself.
//
// A tap is the exception that has to be quick: it is raised as soon as the kernel tells
// of it, by what is known of its bridge. Nothing but the kernel is asked for that, so it
// goes on while libvirt is away.
package watch
