package encap

import (
	"fmt"
	"testing"
)

// espOnWire is the size of the IP packet that carries an inner packet of n bytes: ESP
// put together as a sender does, field by field (RFC 4303, 2).
func espOnWire(n, family int, s IPsec, iv, block, icv int) int {
	header := 20
	if family == 6 {
		header = 40
	}
	payload := n // a whole packet, or what follows its header
	if s.Transport {
		payload -= header
	}
	pad := 0
	for (payload+pad+2)%block != 0 {
		pad++
	}
	size := header + 4 + 4 + iv + payload + pad + 1 + 1 + icv
	if s.NATT {
		size += 8
	}
	return size
}

// The MTU is the largest packet that fits: it does, and one byte more does not.
func TestIPsecLargestThatFits(t *testing.T) {
	numbers := map[string][3]int{ // IV, block, ICV; written down apart from the table
		"aes-gcm": {8, 4, 16}, "aes-gcm-12": {8, 4, 12}, "aes-gcm-8": {8, 4, 8}, "aes-ccm": {8, 4, 16},
		"chacha20-poly1305": {8, 4, 16}, "aes-cbc-sha1": {16, 16, 12}, "aes-cbc-sha256": {16, 16, 16},
		"aes-cbc-sha384": {16, 16, 24}, "aes-cbc-sha512": {16, 16, 32}, "aes-ctr-sha256": {8, 4, 16},
		"3des-cbc-sha1": {8, 8, 12}, "null-sha1": {0, 4, 12}, "null-sha256": {0, 4, 16},
	}
	if len(numbers) != len(Ciphers()) {
		t.Errorf("%d ciphers, want %d: %v", len(Ciphers()), len(numbers), Ciphers())
	}
	for name, c := range numbers {
		for _, s := range []IPsec{{name, false, false}, {name, false, true}, {name, true, false}, {name, true, true}} {
			for _, family := range []int{4, 6} {
				t.Run(fmt.Sprintf("%+v/%d", s, family), func(t *testing.T) {
					for underlay := 200; underlay <= 9100; underlay++ {
						_, mtu, err := Stack(underlay, []string{"ipsec"}, Options{Family: family, IPsec: s})
						if err != nil {
							t.Fatal(err)
						}
						if size := espOnWire(mtu, family, s, c[0], c[1], c[2]); size > underlay {
							t.Fatalf("underlay %d: %d bytes become %d", underlay, mtu, size)
						}
						if size := espOnWire(mtu+1, family, s, c[0], c[1], c[2]); size <= underlay {
							t.Fatalf("underlay %d: mtu %d, but %d bytes fit too, as %d", underlay, mtu, mtu+1, size)
						}
					}
				})
			}
		}
	}
}

// Numbers worked out by hand.
func TestIPsec(t *testing.T) {
	for _, tt := range []struct {
		s            IPsec
		family, want int
	}{
		{IPsec{}, 4, 1446}, // 1500-20-8-8-16 = 1448, less 2
		{IPsec{}, 6, 1426},
		{IPsec{NATT: true}, 4, 1438},
		{IPsec{Transport: true}, 4, 1466},
		{IPsec{Transport: true}, 6, 1466},                      // 1500-40-8-8-16 = 1428, less 2, and 40 outside
		{IPsec{Cipher: "aes-cbc-sha1"}, 4, 1438},               // 1500-20-8-16-12 = 1444, 1440 in blocks of 16
		{IPsec{Cipher: "aes-cbc-sha256"}, 4, 1438},             // 1440 in blocks of 16
		{IPsec{Cipher: "null-sha1"}, 4, 1458},                  // 1460
		{IPsec{Cipher: "3des-cbc-sha1"}, 4, 1446},              // 1452, 1448 in blocks of 8
		{IPsec{Cipher: "aes-cbc-sha512", NATT: true}, 6, 1390}, // 1500-40-8-8-16-32 = 1396, 1392 in blocks
	} {
		if _, mtu, err := Stack(1500, []string{"ipsec"}, Options{Family: tt.family, IPsec: tt.s}); err != nil || mtu != tt.want {
			t.Errorf("%+v over IPv%d: %d, %v; want %d", tt.s, tt.family, mtu, err, tt.want)
		}
	}
}
