// Package hookdir looks after virt-mtu's place in libvirt's hook directory: it puts
// the hook there and takes it out, tells the daemon to look again, and says whether
// libvirt runs what lies there. Other hooks are looked at and never touched.
//
// What the hook does is package hook's. No domain is looked at here.
package hookdir
