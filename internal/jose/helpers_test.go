package jose

import (
	"crypto/sha256"
	"encoding/json"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// testKeys are one key of each algorithm, made once a run.
var testKeys = sync.OnceValue(func() map[Algorithm]*Key {
	keys := make(map[Algorithm]*Key)
	for _, alg := range Algorithms() {
		k, err := GenerateKey(alg, "key-"+string(alg))
		if err != nil {
			panic(err)
		}
		keys[alg] = k
	}
	return keys
})

const testPayload = `{"iss":"https://auth.example","sub":"4b5c","exp":1700000000,"iat":1699996400}`

func mustSign(t testing.TB, k *Key, h Header, payload string) string {
	t.Helper()
	token, err := k.Sign(h, []byte(payload))
	if err != nil {
		t.Fatal(err)
	}
	return token
}

// accepts runs the whole way: shape, header, signature.
func accepts(token string, k *Key) error {
	p, err := Parse(token)
	if err != nil {
		return err
	}
	_, err = p.Verify(k)
	return err
}

// forge signs any two segments as they are, which Sign would not.
func forge(t testing.TB, k *Key, header, payload string) string {
	t.Helper()
	input := b64(header) + "." + b64(payload)
	sig, err := k.sign(nil, []byte(input))
	if err != nil {
		t.Fatal(err)
	}
	return input + "." + b64(string(sig))
}

func b64(text string) string { return rawURL.EncodeToString([]byte(text)) }

// segments splits a good token and decodes its signature.
func segments(t testing.TB, token string) (input string, sig []byte) {
	t.Helper()
	dot := strings.LastIndexByte(token, '.')
	sig, err := rawURL.DecodeString(token[dot+1:])
	if err != nil {
		t.Fatal(err)
	}
	return token[:dot], sig
}

// vectors reads a file of public test vectors, which lie outside the repository.
func vectors(t *testing.T, into any, path ...string) {
	t.Helper()
	dir := os.Getenv("SALLYPORT_SHARED")
	if dir == "" {
		dir = filepath.Join("..", "..", "..", "shared")
	}
	file := filepath.Join(append([]string{dir, "vectors"}, path...)...)
	data, err := os.ReadFile(file)
	if err != nil {
		t.Skipf("public vectors are not here (set SALLYPORT_SHARED to their folder): %v", err)
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatal(err)
	}
}

func sum256(text string) []byte {
	sum := sha256.Sum256([]byte(text))
	return sum[:]
}

func pemText(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
