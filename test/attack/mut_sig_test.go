package attack_test

import (
	"bytes"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/asn1"
	"fmt"
	"math/big"
	"slices"
)

// signed puts the token with another signature on the list.
func (b *base) withSig(name string, sig []byte) {
	b.add(name, b.h+"."+b.p+"."+b64.EncodeToString(sig))
}

func sigScalars(b *base) {
	n := elliptic.P256().Params().N
	r, s := new(big.Int), new(big.Int)
	if len(b.sig) == 64 {
		r.SetBytes(b.sig[:32])
		s.SetBytes(b.sig[32:])
	}
	one := big.NewInt(1)
	odd := []*big.Int{
		new(big.Int), one, new(big.Int).Sub(n, one), n, new(big.Int).Add(n, one), new(big.Int).Sub(new(big.Int).Lsh(one, 256), one),
		elliptic.P256().Params().P, elliptic.P256().Params().Gx, new(big.Int).Rsh(n, 1), big.NewInt(2),
	}
	for i, x := range odd {
		b.withSig(fmt.Sprint("r ", i), rawSignature(x, s))
		b.withSig(fmt.Sprint("s ", i), rawSignature(r, x))
		for j, y := range odd {
			b.withSig(fmt.Sprint("r ", i, " s ", j), rawSignature(x, y))
		}
	}
}

func sigForms(b *base) {
	if len(b.sig) < 64 {
		b.withSig("in hex", []byte(fmt.Sprintf("%x", b.sig)))
		b.withSig("in base64", []byte(b.s))
		return
	}
	n := elliptic.P256().Params().N
	r, s := new(big.Int).SetBytes(b.sig[:32]), new(big.Int).SetBytes(b.sig[32:64])
	if b.alg == "ES256" {
		other := rawSignature(r, new(big.Int).Sub(n, s))
		b.out = append(b.out, mutation{name: "n-s", text: b.h + "." + b.p + "." + b64.EncodeToString(other), may: b.c.foreign})
		b.withSig("r+n", append(new(big.Int).Add(r, n).FillBytes(make([]byte, 33)), b.sig[32:]...))
		b.withSig("-r", rawSignature(new(big.Int).Sub(n, r), s))
	}
	b.withSig("swapped", rawSignature(s, r))
	der, _ := asn1.Marshal(struct{ R, S *big.Int }{r, s}) // two integers
	b.withSig("DER", der)
	b.withSig("DER with a byte behind", append(der, 0))
	b.withSig("little-endian", reversed(b.sig))
	b.withSig("33 bytes each", slices.Concat([]byte{0}, b.sig[:32], []byte{0}, b.sig[32:64]))
	b.withSig("r alone", b.sig[:32])
	b.withSig("OpenSSH", slices.Concat([]byte("\x00\x00\x00\x13ecdsa-sha2-nistp256"), b.sig))
	b.withSig("in hex", []byte(fmt.Sprintf("%x", b.sig)))
}

func reversed(b []byte) []byte {
	out := bytes.Clone(b)
	slices.Reverse(out)
	return out
}

// edwardsOrder is L, the order of the base point of edwards25519.
var edwardsOrder, _ = new(big.Int).SetString("7237005577332262213973186563042994240857116359379907606001950938285454250989", 10)

// sigEdwards are the malleable and degenerate signatures of RFC 8032: S+L, R of
// small order and in non-canonical forms.
func sigEdwards(b *base) {
	points := [][]byte{
		make([]byte, 32),
		{0: 1, 31: 0},
		bytes.Repeat([]byte{0xff}, 32), // 0, 1, not reduced
		append([]byte{0xec}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...), append([]byte{0xed}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...),
		append([]byte{0xee}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...),
		{0: 1, 31: 0x80},
		{0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0, 0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
		{0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f, 0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
	}
	scalars := [][]byte{make([]byte, 32), {0: 1, 31: 0}, reversed(edwardsOrder.FillBytes(make([]byte, 32))), bytes.Repeat([]byte{0xff}, 32)}
	for i, p := range points {
		for j, s := range scalars {
			b.withSig(fmt.Sprint("R ", i, " S ", j), slices.Concat(pad(p), pad(s)))
		}
	}
	if b.alg != "EdDSA" {
		return
	}
	s := new(big.Int).SetBytes(reversed(b.sig[32:]))
	for k := int64(1); k <= 7; k++ {
		more := new(big.Int).Add(s, new(big.Int).Mul(edwardsOrder, big.NewInt(k)))
		b.withSig(fmt.Sprintf("S+%dL", k), slices.Concat(b.sig[:32], reversed(more.FillBytes(make([]byte, 32)))))
	}
	b.withSig("L-S", slices.Concat(b.sig[:32], reversed(new(big.Int).Sub(edwardsOrder, s).FillBytes(make([]byte, 32)))))
	flipped := bytes.Clone(b.sig)
	flipped[31] ^= 0x80
	b.withSig("sign bit of R", flipped)
	flipped = bytes.Clone(b.sig)
	flipped[63] |= 0xe0
	b.withSig("top bits of S", flipped)
	for i, p := range points {
		b.withSig(fmt.Sprint("R ", i, " with the good S"), slices.Concat(pad(p), b.sig[32:]))
	}
}

func pad(b []byte) []byte { return append(bytes.Clone(b), make([]byte, 32-len(b))...) }

// sigRSA are signatures that textbook RSA would take: 0, 1, n-1, n, the good
// one plus n, and padding that is not encrypted at all (a key of e=1).
func sigRSA(b *base) {
	n := new(big.Int).Lsh(big.NewInt(1), 2047)
	if priv, ok := b.c.key.priv.(*rsa.PrivateKey); ok {
		n = priv.N
	}
	size := (n.BitLen() + 7) / 8
	one := big.NewInt(1)
	good := new(big.Int).SetBytes(b.sig)
	for name, v := range map[string]*big.Int{
		"0": new(big.Int), "1": one, "2": big.NewInt(2), "n-1": new(big.Int).Sub(n, one), "n": n, "n+1": new(big.Int).Add(n, one),
		"s+n": new(big.Int).Add(good, n), "n-s": new(big.Int).Abs(new(big.Int).Sub(n, good)), "s^65537": new(big.Int).Exp(good, big.NewInt(65537), n),
	} {
		b.withSig(name, v.Bytes())
		b.withSig(name+" in full length", v.FillBytes(make([]byte, size+1)))
		if v.BitLen() <= 8*size {
			b.withSig(name+" in its length", v.FillBytes(make([]byte, size)))
		}
	}
	prefix := []byte{0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20}
	sum := sha256.Sum256([]byte(b.h + "." + b.p))
	block := slices.Concat(prefix, sum[:])
	b.withSig("padding of e=1", slices.Concat([]byte{0, 1}, bytes.Repeat([]byte{0xff}, size-len(block)-3), []byte{0}, block))
	b.withSig("short padding", slices.Concat([]byte{0, 1, 0xff, 0}, block, make([]byte, size-len(block)-4)))
	b.withSig("digest alone", sum[:])
	b.withSig("DigestInfo alone", block)
	b.withSig("a zero before", append([]byte{0}, b.sig...))
	if len(b.sig) > 1 {
		b.withSig("first byte off", b.sig[1:])
	}
}

func sigFlipped(b *base) {
	for i := range b.sig {
		flipped := bytes.Clone(b.sig)
		flipped[i] ^= 1 << b.r.IntN(8)
		b.withSig(fmt.Sprint("byte ", i), flipped)
	}
	for range 32 {
		flipped := bytes.Clone(b.sig)
		for range 2 + b.r.IntN(3) {
			flipped[b.r.IntN(len(flipped))] ^= byte(1 + b.r.IntN(255))
		}
		if !bytes.Equal(flipped, b.sig) {
			b.withSig("some bytes", flipped)
		}
	}
}

func sigLength(b *base) {
	for i := 1; i < len(b.sig); i++ {
		b.withSig(fmt.Sprintf("first %d bytes", i), b.sig[:i])
		b.withSig(fmt.Sprintf("last %d bytes", i), b.sig[len(b.sig)-i:])
	}
	for _, n := range []int{1, 2, 32, 64, 1000} {
		b.withSig(fmt.Sprintf("%d bytes more", n), append(bytes.Clone(b.sig), make([]byte, n)...))
		b.withSig(fmt.Sprintf("%d bytes before", n), append(make([]byte, n), b.sig...))
	}
	b.withSig("twice", append(bytes.Clone(b.sig), b.sig...))
	b.withSig("zeros", make([]byte, len(b.sig)))
}

// sigOther takes signatures of others: of the attacker, and of good tokens.
func sigOther(b *base) {
	for _, k := range b.w.foreign {
		for _, h := range []string{b.header, member(b.header, "alg", `"`+k.alg+`"`)} {
			b.later("of the attacker's "+k.alg, func() string { return k.token(h, b.payload) })
		}
	}
	for _, c := range b.w.creds {
		if !c.jwt() || c == b.c {
			continue
		}
		o := newBase(b.w, b.r, c, 0)
		b.add("of "+c.name(), b.h+"."+b.p+"."+o.s)
		b.add("ours under the claims of "+c.name(), b.h+"."+o.p+"."+b.s)
		if o.h != b.h {
			b.add("ours under the header of "+c.name(), o.h+"."+b.p+"."+b.s)
		}
	}
}
