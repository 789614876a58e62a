package password

import "math/bits"

// Ceilings on what a stored hash may ask for. A hash from elsewhere is data:
// one that asks for 4 GiB or 10^9 iterations would stop the server at each
// login attempt, and through the bill at everybody's. The ceilings lie above
// the defaults of every library in use and at about two seconds of one core.
const (
	maxMemoryKiB     = 256 << 10 // one hash
	maxMemoryWork    = 1 << 20   // KiB times passes (argon2) or lanes (scrypt)
	maxPasses        = 1000
	maxLanes         = 16
	maxBlockFactor   = 32 // scrypt r
	maxScryptLanes   = 64 // scrypt p
	minBcryptCost    = 4
	maxBcryptCost    = 15
	maxIterations    = 3_000_000 // PBKDF2, times blocks of output
	minRounds        = 1000      // sha-crypt, by its specification
	maxRounds        = 1_000_000
	minKeyBytes      = 16
	maxKeyBytes      = 128
	maxSaltBytes     = 256
	maxEncodedLength = 1024
)

// affordable says whether a derivation stays below the ceilings.
func (k kdf) affordable() error {
	switch k.alg {
	case argon2id, argon2i, argon2d:
		return k.affordableArgon2()
	case scryptKDF:
		return k.affordableScrypt()
	case bcryptKDF:
		if n := bits.Len64(k.cost) - 1; n < minBcryptCost || n > maxBcryptCost {
			return unusable("bcrypt cost %d is outside %d to %d", n, minBcryptCost, maxBcryptCost)
		}
		return nil
	case sha256crypt, sha512crypt:
		if k.cost < minRounds || k.cost > maxRounds {
			return unusable("%d rounds are outside %d to %d", k.cost, minRounds, maxRounds)
		}
		return nil
	}
	if k.keyLen < minKeyBytes || k.keyLen > maxKeyBytes {
		return keyLength(k.keyLen)
	}
	if k.cost < 1 || k.cost > maxIterations || k.work() > maxIterations {
		return unusable("%d iterations of PBKDF2 for %d bytes are outside 1 to %d", k.cost, k.keyLen, maxIterations)
	}
	return nil
}

func (k kdf) affordableArgon2() error {
	switch {
	case k.lanes < 1 || k.lanes > maxLanes:
		return unusable("parallelism %d is outside 1 to %d", k.lanes, maxLanes)
	case k.memory < 8*k.lanes || k.memory > maxMemoryKiB:
		return unusable("memory of %d KiB is outside %d to %d", k.memory, 8*k.lanes, maxMemoryKiB)
	case k.cost < 1 || k.cost > maxPasses || uint64(k.memory)*k.cost > maxMemoryWork:
		return unusable("%d passes over %d KiB are outside 1 to %d and %d KiB in all", k.cost, k.memory, maxPasses, maxMemoryWork)
	case k.keyLen < minKeyBytes || k.keyLen > maxKeyBytes:
		return keyLength(k.keyLen)
	}
	return nil
}

func (k kdf) affordableScrypt() error {
	if k.memory < 1 || k.memory > 24 || k.lanes < 1 || k.lanes > maxBlockFactor || k.cost < 1 || k.cost > maxScryptLanes {
		return unusable("scrypt with N=2^%d, r=%d, p=%d: N must be 2^1 to 2^24, r 1 to %d, p 1 to %d",
			k.memory, k.lanes, k.cost, maxBlockFactor, maxScryptLanes)
	}
	kib := uint64(1) << k.memory * uint64(k.lanes) / 8 // 128·N·r bytes
	if kib > maxMemoryKiB || kib*k.cost > maxMemoryWork {
		return unusable("scrypt with N=2^%d, r=%d, p=%d needs %d KiB, %d times: more than %d or %d in all",
			k.memory, k.lanes, k.cost, kib, k.cost, maxMemoryKiB, maxMemoryWork)
	}
	if k.keyLen < minKeyBytes || k.keyLen > maxKeyBytes {
		return keyLength(k.keyLen)
	}
	return nil
}

func keyLength(n int) error {
	return unusable("its key has %d bytes, outside %d to %d: shorter ones can be met by chance", n, minKeyBytes, maxKeyBytes)
}
