// Package tap is the only writer to kernel links: it raises the MTU of a guest's
// tap, pins a bridge at the MTU that it has, and sets that of a libvirt network's bridge.
//
// It believes the kernel and nobody else. Names reach it from domain XML, which
// whoever may define a guest writes as he likes; a link is touched only if the
// kernel says that it is what the caller takes it for. How large an MTU should be
// is package plan's business.
package tap
