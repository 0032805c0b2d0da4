// Package calc shows what an MTU comes to: the underlay, every layer on it byte by
// byte, and the lines that tell guests. The arithmetic is that of packages encap and
// neutron.
package calc
