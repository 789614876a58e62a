package jose

import "encoding/base64"

var rawURL = base64.RawURLEncoding

// sextets maps a byte to its six bits, or to badSextet.
var sextets = func() (t [256]byte) {
	for i := range t {
		t[i] = badSextet
	}
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	for i := range len(alphabet) {
		t[alphabet[i]] = byte(i)
	}
	return t
}()

const badSextet = 0xff

// appendDecoded appends the bytes that src encodes in base64url without padding. It answers false unless src is the
// one canonical spelling of them. encoding/base64 cannot be used for that: even its strict decoder skips CR and LF.
func appendDecoded(dst []byte, src string) ([]byte, bool) {
	for len(src) >= 4 {
		a, b, c, d := sextets[src[0]], sextets[src[1]], sextets[src[2]], sextets[src[3]]
		if (a|b|c|d)&0xc0 != 0 {
			return dst, false
		}
		dst = append(dst, a<<2|b>>4, b<<4|c>>2, c<<6|d)
		src = src[4:]
	}
	switch len(src) {
	case 0:
		return dst, true
	case 2:
		a, b := sextets[src[0]], sextets[src[1]]
		if (a|b)&0xc0 != 0 || b&0x0f != 0 {
			return dst, false
		}
		return append(dst, a<<2|b>>4), true
	case 3:
		a, b, c := sextets[src[0]], sextets[src[1]], sextets[src[2]]
		if (a|b|c)&0xc0 != 0 || c&0x03 != 0 {
			return dst, false
		}
		return append(dst, a<<2|b>>4, b<<4|c>>2), true
	default: // a single character is less than a byte
		return dst, false
	}
}
