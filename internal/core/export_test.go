package core

import (
	"net/netip"

	"github.com/sallyport/sallyport/internal/limit"
)

// SpendNetwork uses up what the network of an address may try, without the
// hashes that this would take.
func (s *Service) SpendNetwork(a netip.Addr, now int64) {
	for ok := true; ok; {
		ok, _ = s.networks.Allow(limit.Network(a), now)
	}
}
