package password

import (
	"errors"
	"fmt"
	"strings"
)

// maxKinds is how many kinds of hash a store may hold. Each verification pays
// for every kind, so this bounds what an import can do to everybody's login.
const maxKinds = 6

var errTooManyKinds = errors.New("too many kinds of hash")

// bill is what each verification costs: the most work seen, for each kind. It
// only grows; a restart after the last old hash is gone makes it small again.
type bill struct {
	most []due
}

type due struct {
	kind kind
	work uint64
}

// add raises the bill so that it covers k.
func (b *bill) add(k kdf) error {
	for i := range b.most {
		if b.most[i].kind == k.kind {
			b.most[i].work = max(b.most[i].work, k.work())
			return nil
		}
	}
	if len(b.most) >= maxKinds {
		return fmt.Errorf("%w: %w: this store already holds %d kinds, and each login pays for all of them; have these users set a new password instead",
			ErrUnusable, errTooManyKinds, maxKinds)
	}
	b.most = append(b.most, due{k.kind, k.work()})
	return nil
}

// list is what one verification runs, and where in it own stands, the hash at
// hand (-1 without one): at the place of its kind, so that the order tells no
// more than the amount. What a derivation leaves behind (garbage, cold caches,
// pages given back) is paid for by the next one: with own always first, names
// with a bcrypt hash took 5 ms longer than unknown ones.
func (b *bill) list(own *kdf) (list []kdf, at int) {
	at = -1
	for _, d := range b.most {
		work := d.work
		if own != nil && own.kind == d.kind {
			at = len(list)
			list = append(list, *own)
			work -= min(own.work(), work)
		}
		if work > 0 {
			list = append(list, d.kind.split(work)...)
		}
	}
	if own != nil && at < 0 { // one kind too many for a bill
		at = len(list)
		list = append(list, *own)
	}
	return list, at
}

// split makes derivations of this kind that together do the given work.
// bcrypt can only do powers of two, and 2^a + 2^a + 2^(a+1) + … sums up to the
// next power: the bits of the difference are the costs to run.
func (k kind) split(work uint64) []kdf {
	if k.alg != bcryptKDF {
		return []kdf{{kind: k, cost: work, keyLen: sha1Len}}
	}
	var out []kdf
	for cost := uint64(1 << minBcryptCost); cost <= work; cost <<= 1 {
		if work&cost != 0 {
			out = append(out, kdf{kind: k, cost: cost})
		}
	}
	return out
}

// sha1Len is the output of a decoy: one block of the smallest hash in use.
const sha1Len = 20

// Salts and keys of decoys are no secrets; nothing is ever compared with them
// but what is thrown away. They have the lengths and alphabets of real ones.
var (
	decoySalt = []byte(strings.Repeat(".", 16))
	decoyKey  = []byte(strings.Repeat(".", 86))
)

// decoy is a job for the sake of its work.
func (k kdf) decoy(password []byte) job {
	switch k.alg {
	case bcryptKDF:
		return k.job(password, decoyKey[:bcryptSaltChars], decoyKey[:bcryptKeyChars])
	case sha256crypt:
		return k.job(password, decoySalt, decoyKey[:sha256cryptChars])
	case sha512crypt:
		return k.job(password, decoySalt, decoyKey[:sha512cryptChars])
	}
	return k.job(password, decoySalt, decoyKey[:k.keyLen])
}
