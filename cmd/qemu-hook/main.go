// Command qemu-hook is libvirt's qemu hook: see package hook.
package main

import (
	"os"

	"virt-mtu/internal/hook"
)

func main() {
	os.Exit(hook.Main(os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
