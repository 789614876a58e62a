package keyring

import (
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base32"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	masterSize = 32
	// masterIDSize is how many bytes of derived material name a master key.
	// They say nothing about the key itself.
	masterIDSize = 10
	// maxMasterFile bounds what is read from a file that may be anything.
	maxMasterFile = 4096
)

var idEncoding = base32.NewEncoding("abcdefghijklmnopqrstuvwxyz234567").WithPadding(base32.NoPadding)

// Master is the key everything secret in the store hangs on. Its zero value
// is not usable.
type Master struct {
	key   [masterSize]byte
	rawID [masterIDSize]byte
	id    string
	// Created says that LoadMaster made the key file just now: the operator
	// must be told to back it up.
	Created bool
	// Path is the file the key was read from or written to; "" when it came
	// from an environment value.
	Path string
}

// ID names the key: "mk_" and 16 characters. It is derived, may be logged, and
// is the same on every node that has the key.
func (m *Master) ID() string { return m.id }

// String keeps the key out of logs: a Master prints as its id.
func (m *Master) String() string { return m.id }

// GoString is String; %#v must not print the key either.
func (m *Master) GoString() string { return "keyring.Master(" + m.id + ")" }

// Source says where the master key comes from. Exactly one of File, Env and
// EnvFile is set.
type Source struct {
	// File is the key file. It must belong to nobody but its owner (0600 or
	// tighter); a wider one is refused.
	File string
	// Env is the key itself, as an environment variable's value.
	Env string
	// EnvFile is a file named by a …_FILE variable: a secret that a container
	// runtime mounted, whose permissions are the runtime's. A wider one than
	// 0600 is reported to Warn and taken.
	EnvFile string
	// CreateIfNewStore lets LoadMaster make File when it does not exist. Only
	// `serve` sets it, and only when it creates a new data directory: a key
	// made beside a store that has data already would open nothing in it, and
	// one made on one node of PostgreSQL would be unknown to the others.
	CreateIfNewStore bool
	// Warn gets one line for the operator. May be nil.
	Warn func(line string)
}

// LoadMaster reads the master key. Its errors say what to do.
func LoadMaster(src Source) (*Master, error) {
	if err := src.checkOne(); err != nil {
		return nil, err
	}
	switch {
	case src.Env != "":
		m, err := ParseMaster(src.Env)
		if err != nil {
			return nil, fmt.Errorf("the master key in the environment: %w", err)
		}
		return m, nil
	case src.EnvFile != "":
		return readMaster(src.EnvFile, src.Warn, false)
	}
	m, err := readMaster(src.File, src.Warn, true)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, err
	}
	if !src.CreateIfNewStore {
		return nil, fmt.Errorf("the master key file %s does not exist: bring back the one this store was made with "+
			"(from your backup, or another node), or name it with --master-key-file", src.File)
	}
	return createMaster(src.File)
}

func (s *Source) checkOne() error {
	var given []string
	if s.File != "" {
		given = append(given, "a key file ("+s.File+")")
	}
	if s.Env != "" {
		given = append(given, "a value in the environment")
	}
	if s.EnvFile != "" {
		given = append(given, "a file named in the environment ("+s.EnvFile+")")
	}
	switch len(given) {
	case 0:
		return errors.New("no master key given: name a file with --master-key-file, or put the key in the environment")
	case 1:
		return nil
	}
	return fmt.Errorf("the master key is given more than once: %s; keep one", strings.Join(given, " and "))
}

// readMaster reads a key file; strict refuses permissions wider than 0600.
func readMaster(path string, warn func(string), strict bool) (*Master, error) {
	f, err := os.Open(path) // #nosec G304 -- the operator names it
	if err != nil {
		return nil, fmt.Errorf("the master key file: %w", err)
	}
	defer func() { _ = f.Close() }() // read only: nothing to lose
	info, err := f.Stat()
	if err != nil {
		return nil, fmt.Errorf("the master key file %s: %w", path, err)
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("the master key file %s is not a regular file", path)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		line := fmt.Sprintf("the master key file %s can be used by others (mode %04o); run: chmod 600 %s", path, perm, path)
		if strict {
			return nil, errors.New(line)
		}
		if warn != nil {
			warn(line)
		}
	}
	text, err := io.ReadAll(io.LimitReader(f, maxMasterFile+1))
	if err != nil {
		return nil, fmt.Errorf("the master key file %s: %w", path, err)
	}
	if len(text) > maxMasterFile {
		return nil, fmt.Errorf("the master key file %s is longer than a key: want one line of base64 or hex", path)
	}
	m, err := ParseMaster(string(text))
	if err != nil {
		return nil, fmt.Errorf("the master key file %s: %w", path, err)
	}
	m.Path = path
	return m, nil
}

// createMaster makes a key file that nobody else can read. It never replaces
// one: of two processes that try, one gets the other's key.
func createMaster(path string) (*Master, error) {
	var key [masterSize]byte
	_, _ = rand.Read(key[:])                                              // crypto/rand.Read never fails; it aborts the process instead
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600) // #nosec G304 -- the operator names it
	if errors.Is(err, fs.ErrExist) {
		return readMaster(path, nil, true)
	}
	if err != nil {
		return nil, fmt.Errorf("make the master key file: %w", err)
	}
	_, err = f.WriteString(base64.StdEncoding.EncodeToString(key[:]) + "\n")
	if err == nil {
		// The store is useless without it, so it must be there before any row.
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		err = syncDir(filepath.Dir(path))
	}
	if err != nil {
		_ = os.Remove(path) // half a key is worse than none; the first error is the one to tell
		return nil, fmt.Errorf("make the master key file %s: %w", path, err)
	}
	m, err := newMaster(key)
	if err != nil {
		return nil, err
	}
	m.Created, m.Path = true, path
	return m, nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir) // #nosec G304 -- the folder of a file the operator names
	if err != nil {
		return err
	}
	err = d.Sync()
	if cerr := d.Close(); err == nil {
		err = cerr
	}
	return err
}

// ParseMaster reads a key's text: 32 bytes as hex (64 digits) or base64
// (standard or URL-safe, padded or not), white space around it ignored.
func ParseMaster(text string) (*Master, error) {
	text = strings.TrimSpace(text)
	raw, err := decodeMaster(text)
	if err != nil {
		return nil, err
	}
	var key [masterSize]byte
	copy(key[:], raw)
	return newMaster(key)
}

func decodeMaster(text string) ([]byte, error) {
	if len(text) == hex.EncodedLen(masterSize) {
		if raw, err := hex.DecodeString(text); err == nil {
			return raw, nil
		}
	}
	// One alphabet, no padding: the spellings differ in nothing else.
	plain := strings.TrimRight(strings.NewReplacer("-", "+", "_", "/").Replace(text), "=")
	raw, err := base64.RawStdEncoding.Strict().DecodeString(plain)
	if err != nil || strings.ContainsAny(plain, "\r\n") {
		return nil, errors.New("it is neither hex nor base64; make one with: openssl rand -base64 32")
	}
	if len(raw) != masterSize {
		return nil, fmt.Errorf("it has %d bytes and must have %d; make one with: openssl rand -base64 32", len(raw), masterSize)
	}
	return raw, nil
}

func newMaster(key [masterSize]byte) (*Master, error) {
	seen := map[byte]bool{}
	for _, b := range key {
		seen[b] = true
	}
	// 32 random bytes have fewer than 8 different ones once in 2^130.
	if len(seen) < 8 {
		return nil, errors.New("it is not random; make one with: openssl rand -base64 32")
	}
	m := &Master{key: key}
	copy(m.rawID[:], m.derive("master key id", masterIDSize))
	m.id = masterName(m.rawID[:])
	return m, nil
}

func masterName(raw []byte) string { return "mk_" + idEncoding.EncodeToString(raw) }

// check is a value only the holder of the key can make; the store keeps it.
func (m *Master) check() string { return hex.EncodeToString(m.derive("master key check", 16)) }

// derive gives n bytes for a purpose (RFC 5869, no salt: the input is uniform).
func (m *Master) derive(purpose string, n int) []byte {
	out, err := hkdf.Key(sha256.New, m.key[:], nil, "sallyport/1 "+purpose, n)
	if err != nil {
		// Only a length beyond 255 hashes fails, and lengths are constants.
		panic("keyring: " + err.Error())
	}
	return out
}
