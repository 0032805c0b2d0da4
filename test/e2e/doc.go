// Package e2e holds tests on real hosts: libvirtd, QEMU and guests as they are, in the
// throw-away hosts of test/lab. facts_test.go holds the project to what it believes of
// libvirt, apart from any code of ours.
package e2e
