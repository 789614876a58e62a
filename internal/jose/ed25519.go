package jose

import (
	"crypto/ed25519"
	"fmt"
	"math/big"
	"slices"
)

// smallOrder lists the encodings of the eight points of order 1, 2, 4 and 8 of edwards25519, and the non-canonical
// spellings of them. Under such a key one signature fits many messages, so it is no key. The sign bit is left out.
var smallOrder = [][32]byte{
	{},
	{1},
	{
		0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
		0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05,
	},
	{
		0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
		0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a,
	},
	fieldEnd(0xec), // p-1
	fieldEnd(0xed), // p, which is 0
	fieldEnd(0xee), // p+1, which is 1
}

// fieldEnd is the little-endian number 2^255 - 256 + low.
func fieldEnd(low byte) (b [32]byte) {
	for i := range b {
		b[i] = 0xff
	}
	b[0], b[31] = low, 0x7f
	return b
}

func checkEd25519(pub ed25519.PublicKey) error {
	if len(pub) != ed25519.PublicKeySize {
		return fmt.Errorf("%w: Ed25519 public key of %d bytes", ErrKey, len(pub))
	}
	y := [32]byte(pub)
	y[31] &= 0x7f
	for _, weak := range smallOrder {
		if y == weak {
			return fmt.Errorf("%w: Ed25519 point of small order", ErrKey)
		}
	}
	slices.Reverse(y[:])
	if !onEd25519(new(big.Int).SetBytes(y[:])) {
		return fmt.Errorf("%w: not a point of Ed25519 in canonical form", ErrKey)
	}
	return nil
}

// onEd25519 reports that y is reduced and that some x solves -x^2 + y^2 = 1 + d x^2 y^2, that is, that
// (y^2 - 1) / (d y^2 + 1) is a square (RFC 8032 section 5.1.3).
func onEd25519(y *big.Int) bool {
	one := big.NewInt(1)
	p := new(big.Int).Lsh(one, 255)
	p.Sub(p, big.NewInt(19))
	if y.Cmp(p) >= 0 {
		return false
	}
	d := new(big.Int).ModInverse(big.NewInt(121666), p)
	d.Mul(d, big.NewInt(-121665))
	yy := new(big.Int).Mul(y, y)
	v := new(big.Int).Mul(d, yy)
	v.Add(v, one).Mod(v, p).ModInverse(v, p)
	u := yy.Sub(yy, one)
	return big.Jacobi(u.Mul(u, v).Mod(u, p), p) >= 0
}
