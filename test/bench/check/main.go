// Command check is what the benchmark of virt-mtu check needs beside it:
//
//	check calls                 libvirt's part alone: the calls that check makes, and nothing done with the answers
//	check running N BRIDGES     facts on stdin with N domains put in, running on taps vnet0 to vnetN-1
package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"time"

	"virt-mtu/internal/facts"
	"virt-mtu/internal/libvirt"
)

func main() {
	var err error
	switch {
	case len(os.Args) == 2 && os.Args[1] == "calls":
		err = calls()
	case len(os.Args) == 4 && os.Args[1] == "running":
		err = running(os.Args[2], os.Args[3])
	default:
		err = fmt.Errorf("calls, or running N BRIDGES")
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "check:", err)
		os.Exit(1)
	}
}

func calls() error {
	pool := libvirt.NewPool(context.Background(), "", time.Minute)
	defer pool.Close()
	conn, err := pool.Get()
	if err != nil {
		return err
	}
	domains, err := conn.Domains()
	if err == nil {
		_, err = conn.Networks()
	}
	pool.Put(conn)
	if err != nil {
		return err
	}
	failed := make([]error, len(domains))
	pool.Each(len(domains), func(i int, c *libvirt.Conn, err error) {
		if err == nil {
			_, err = c.Status(domains[i])
		}
		if err == nil {
			_, err = c.PersistentXMLPublic(domains[i])
		}
		failed[i] = err
	}, nil)
	for _, err := range failed {
		if err != nil {
			return err
		}
	}
	return nil
}

func running(count, bridges string) error {
	n, err := strconv.Atoi(count)
	if err != nil {
		return err
	}
	over, err := strconv.Atoi(bridges)
	if err != nil {
		return err
	}
	f, err := facts.Decode(os.Stdin)
	if err != nil {
		return err
	}
	f.Domains, f.Unread, f.Hook = nil, nil, nil
	for i := range n {
		name, uuid := fmt.Sprintf("d%04d", i), fmt.Sprintf("6f1d2c3a-8b4e-4d5f-9a60-%012x", i)
		xml := func(target string) string {
			return fmt.Sprintf(`<domain><name>%s</name><uuid>%s</uuid><devices><interface type='bridge'><mac address='52:54:00:%02x:%02x:%02x'/><source bridge='br%d'/>%s<model type='virtio'/><mtu size='9000'/></interface></devices></domain>`,
				name, uuid, i>>16&255, i>>8&255, i&255, i%over, target)
		}
		f.Domains = append(f.Domains, facts.Domain{Name: name, UUID: uuid, State: "running", PersistentXML: xml(""), LiveXML: xml(fmt.Sprintf("<target dev='vnet%d'/>", i))})
	}
	return f.Encode(os.Stdout)
}
