package jose

import "math/big"

// roca reports that a modulus has the mark of the generator of CVE-2017-15361 ("ROCA"), whose primes are k*M + 65537^a
// mod M for a product M of small primes. Such a modulus is a power of 65537 modulo each of those primes, which a proper
// one is for all of them with a chance of about 2^-27; and it can be factored for some hundred dollars.
func roca(n *big.Int) bool {
	rest := new(big.Int)
	for p := int64(3); p <= 167; p += 2 {
		if !big.NewInt(p).ProbablyPrime(0) {
			continue
		}
		want := rest.Mod(n, big.NewInt(p)).Int64()
		power, found := int64(1), false
		for range p {
			found = found || power == want
			power = power * minRSAExp % p
		}
		if !found {
			return false
		}
	}
	return true
}
