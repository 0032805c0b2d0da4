// Package neutron computes the MTU that OpenStack's neutron gives a network, by its
// own options and its own rules, and says what each option did.
//
// It follows the ML2 plugin: get_mtu of the type drivers (ml2/drivers/type_flat.py,
// type_vlan.py, type_tunnel.py, type_geneve.py) and _get_network_mtu (ml2/plugin.py).
// It reads no neutron.conf and asks no server.
package neutron
