package keyring

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func TestParseMasterSpellings(t *testing.T) {
	want := testMaster(t, hexKey)
	raw := want.key[:]
	for _, text := range []string{
		hexKey, strings.ToUpper(hexKey), " " + hexKey + "\n",
		base64.StdEncoding.EncodeToString(raw), base64.RawStdEncoding.EncodeToString(raw),
		base64.URLEncoding.EncodeToString(raw), base64.RawURLEncoding.EncodeToString(raw) + "\r\n",
	} {
		m, err := ParseMaster(text)
		if err != nil || m.key != want.key || m.ID() != want.ID() {
			t.Errorf("%q: %v", text, err)
		}
	}
	for text, part := range map[string]string{
		"":          "0 bytes",
		"hello":     "neither hex nor base64",
		hexKey[:60]: "45 bytes",
		base64.StdEncoding.EncodeToString(raw[:31]): "31 bytes",
		strings.Repeat("00", 32):                    "not random",
		strings.Repeat("A", 43):                     "not random",
		hexKey + hexKey:                             "96 bytes",
		"not a key, but 32 bytes of text!":          "neither",
	} {
		_, err := ParseMaster(text)
		wantText(t, err, part)
	}
}

func FuzzParseMaster(f *testing.F) {
	f.Add(hexKey)
	f.Add("ixqZU8RhEpaoJ6v4xHgE16Gyw9Tl9gcYKTpLXG1+j5A=")
	f.Add("====")
	f.Fuzz(func(t *testing.T, text string) {
		m, err := ParseMaster(text)
		if err != nil {
			return
		}
		again, err := ParseMaster(base64.StdEncoding.EncodeToString(m.key[:]))
		if err != nil || again.ID() != m.ID() {
			t.Fatalf("%q does not survive a round trip: %v", text, err)
		}
	})
}

func TestMasterDoesNotPrint(t *testing.T) {
	m := testMaster(t, hexKey)
	for _, s := range []string{fmt.Sprint(m), fmt.Sprintf("%+v", m), fmt.Sprintf("%#v", m)} {
		if strings.Contains(s, "8b1a") || strings.Contains(s, "139, 26") || !strings.Contains(s, m.ID()) {
			t.Errorf("printed %q", s)
		}
	}
}

func TestLoadMasterFile(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "master.key")

	_, err := LoadMaster(Source{File: path})
	wantText(t, err, path, "does not exist", "--master-key-file")

	made, err := LoadMaster(Source{File: path, CreateIfNewStore: true})
	if err != nil || !made.Created || made.Path != path {
		t.Fatal(made, err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	again, err := LoadMaster(Source{File: path, CreateIfNewStore: true})
	if err != nil || again.ID() != made.ID() || again.Created {
		t.Fatal("a second start made another key: ", err)
	}

	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	_, err = LoadMaster(Source{File: path})
	wantText(t, err, "mode 0640", "chmod 600 "+path)

	// A mounted secret has the permissions its runtime gave it.
	var warned []string
	m, err := LoadMaster(Source{EnvFile: path, Warn: func(l string) { warned = append(warned, l) }})
	if err != nil || m.ID() != made.ID() || len(warned) != 1 || !strings.Contains(warned[0], "chmod 600 "+path) {
		t.Fatal(err, warned)
	}
	_, err = LoadMaster(Source{File: dir})
	wantText(t, err, "not a regular file")
	big := filepath.Join(dir, "big")
	if err := os.WriteFile(big, bytes.Repeat([]byte("a"), maxMasterFile+1), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = LoadMaster(Source{File: big})
	wantText(t, err, "longer than a key")
}

func TestLoadMasterSources(t *testing.T) {
	m, err := LoadMaster(Source{Env: hexKey})
	if err != nil || m.Path != "" || m.Created {
		t.Fatal(m, err)
	}
	_, err = LoadMaster(Source{})
	wantText(t, err, "no master key given")
	_, err = LoadMaster(Source{File: "a", Env: hexKey})
	wantText(t, err, "more than once", "a key file (a)", "keep one")
	_, err = LoadMaster(Source{Env: "short"})
	wantText(t, err, "in the environment")
}

func TestTwoProcessesMakeOneMasterKey(t *testing.T) {
	path := filepath.Join(t.TempDir(), "master.key")
	ids := make([]string, 8)
	var wg sync.WaitGroup
	for i := range ids {
		wg.Go(func() {
			// One that reads while another writes may find half a key and
			// fail; it must never go on with a key of its own.
			if m, err := LoadMaster(Source{File: path, CreateIfNewStore: true}); err == nil {
				ids[i] = m.ID()
			}
		})
	}
	wg.Wait()
	final, err := LoadMaster(Source{File: path})
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if id != "" && id != final.ID() {
			t.Fatalf("a process went on with %s, the file has %s", id, final.ID())
		}
	}
}
