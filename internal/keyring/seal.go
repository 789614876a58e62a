package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// A sealed value is
//
//	version (1 byte) | master key id (10) | nonce (12) | AES-256-GCM ciphertext and tag
//
// under a key derived for the purpose. Version, id, purpose and binding are
// authenticated, so a value moved to another row, column or account, or passed
// off under another purpose, does not open.
const (
	sealVersion   = 1
	sealNonceSize = 12
	sealHeadSize  = 1 + masterIDSize
	sealOverhead  = sealHeadSize + sealNonceSize + 16
)

// errOtherMaster and errNotOpening are what unseal fails with.
var (
	errOtherMaster = errors.New("sealed under another master key")
	errNotOpening  = errors.New("the sealed value does not open: it was changed, or moved from another row")
)

// sealer seals and opens for one purpose.
type sealer struct {
	head    [sealHeadSize]byte
	purpose string
	aead    cipher.AEAD
}

func (m *Master) sealer(purpose core.SealPurpose) (*sealer, error) {
	block, err := aes.NewCipher(m.derive("seal "+string(purpose), 32))
	if err != nil {
		return nil, fmt.Errorf("seal for %s: %w", purpose, err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("seal for %s: %w", purpose, err)
	}
	s := &sealer{purpose: string(purpose), aead: aead}
	s.head[0] = sealVersion
	copy(s.head[1:], m.rawID[:])
	return s, nil
}

// aad is unambiguous: each part is preceded by its length.
func (s *sealer) aad(binding string) []byte {
	b := make([]byte, 0, sealHeadSize+8+len(s.purpose)+len(binding))
	b = append(b, s.head[:]...)
	for _, part := range []string{s.purpose, binding} {
		b = binary.BigEndian.AppendUint32(b, uint32(len(part))) // #nosec G115 -- a row's name is not 4 GiB
		b = append(b, part...)
	}
	return b
}

func (s *sealer) seal(binding string, plain []byte) []byte {
	out := make([]byte, sealHeadSize+sealNonceSize, sealOverhead+len(plain))
	copy(out, s.head[:])
	nonce := out[sealHeadSize : sealHeadSize+sealNonceSize]
	_, _ = rand.Read(nonce) // crypto/rand.Read never fails; it aborts the process instead
	return s.aead.Seal(out, nonce, plain, s.aad(binding))
}

func (s *sealer) open(binding string, sealed []byte) ([]byte, error) {
	if len(sealed) < sealOverhead || sealed[0] != sealVersion {
		return nil, errNotOpening
	}
	if id := sealed[1:sealHeadSize]; string(id) != string(s.head[1:]) {
		return nil, fmt.Errorf("%w: it needs %s, this process has %s", errOtherMaster, masterName(id), masterName(s.head[1:]))
	}
	nonce := sealed[sealHeadSize : sealHeadSize+sealNonceSize]
	plain, err := s.aead.Open(nil, nonce, sealed[sealHeadSize+sealNonceSize:], s.aad(binding))
	if err != nil {
		return nil, errNotOpening
	}
	return plain, nil
}

func constantEqual(a, b []byte) bool { return subtle.ConstantTimeCompare(a, b) == 1 }
