package limit

import "net/netip"

// Network returns the group an address belongs to where limits and known
// networks are concerned: the /24 of an IPv4 address, the /64 of an IPv6
// address, which is the least that one customer gets. IPv4 written as IPv6
// (::ffff:192.0.2.1) is IPv4, else a stranger would have two identities; a
// zone is dropped. The zero Prefix stands for an address that is not valid.
func Network(addr netip.Addr) netip.Prefix {
	addr = addr.Unmap().WithZone("")
	bits := 64
	if addr.Is4() {
		bits = 24
	}
	p, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}

// Enclosing returns the wider groups that contain a network from Network,
// narrowest first: the /48 and the /32 of an IPv6 network, nothing for IPv4.
// Providers hand a customer up to a /48, so 65,536 /64 may be one person.
func Enclosing(network netip.Prefix) []netip.Prefix {
	addr := network.Addr()
	if !addr.Is6() || addr.Is4In6() {
		return nil
	}
	out := make([]netip.Prefix, 0, 2)
	for _, bits := range []int{48, 32} {
		if bits < network.Bits() {
			out = append(out, netip.PrefixFrom(addr, bits).Masked())
		}
	}
	return out
}
