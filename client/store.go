package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// Store keeps one token over restarts. A Session calls it once at a time.
type Store interface {
	// Load returns what was saved last, or nil and no error when there is nothing.
	Load(ctx context.Context) (*Token, error)
	// Save keeps t, which it must not change. When it returns nil, t survives a crash.
	Save(ctx context.Context, t *Token) error
}

// FileStore keeps the token in a file that only its owner can read. The file is replaced in one step, so that a crash
// leaves the old token or the new one.
type FileStore string

// Load reads the file. One that others can read is refused: whoever copied it acts as the user.
func (f FileStore) Load(context.Context) (*Token, error) {
	file, err := os.Open(string(f))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }() // only read
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %v); make it 0600, and log in again if anybody may have read it", string(f), info.Mode().Perm())
	}
	raw, err := io.ReadAll(io.LimitReader(file, maxAnswer))
	if err != nil {
		return nil, err
	}
	t := new(Token)
	if json.Unmarshal(raw, t) != nil { // its text could quote the token
		return nil, fmt.Errorf("%s holds no token; delete it", string(f))
	}
	return t, nil
}

// Save replaces the file.
func (f FileStore) Save(_ context.Context, t *Token) (err error) {
	raw, err := json.Marshal(t)
	if err != nil {
		return err
	}
	dir := filepath.Dir(string(f))
	tmp, err := os.CreateTemp(dir, "."+filepath.Base(string(f))+".*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = tmp.Close()           // the first error counts
			_ = os.Remove(tmp.Name()) // so does it here
		}
	}()
	if _, err = tmp.Write(append(raw, '\n')); err != nil {
		return err
	}
	if err = tmp.Sync(); err != nil {
		return err
	}
	if err = tmp.Close(); err != nil {
		return err
	}
	if err = os.Rename(tmp.Name(), string(f)); err != nil {
		return err
	}
	return syncDir(dir)
}

// syncDir makes the rename last. Windows can't, and needs it less.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
