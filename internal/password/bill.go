package password

import (
	"errors"
	"fmt"
	"slices"
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

func (b *bill) copy() bill { return bill{slices.Clone(b.most)} }

// rest is what remains to be paid beside the derivation done, if any.
func (b *bill) rest(done *kdf) []kdf {
	var out []kdf
	for _, d := range b.most {
		work := d.work
		if done != nil && done.kind == d.kind {
			work -= min(done.work(), work)
		}
		if work > 0 {
			out = append(out, d.kind.split(work)...)
		}
	}
	return out
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

// decoy runs a derivation for the sake of its work.
func (h *Hasher) decoy(k kdf, password []byte) {
	switch k.alg {
	case bcryptKDF:
		h.run(k, password, decoyKey[:bcryptSaltChars], decoyKey[:bcryptKeyChars])
	case sha256crypt:
		h.run(k, password, decoySalt, decoyKey[:sha256cryptChars])
	case sha512crypt:
		h.run(k, password, decoySalt, decoyKey[:sha512cryptChars])
	default:
		h.run(k, password, decoySalt, decoyKey[:k.keyLen])
	}
}
