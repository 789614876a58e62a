package config_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/config"
)

const storePassword = "pa55%2Fw0rd"

// TestStore: the URL of the store from everywhere, and its password nowhere.
func TestStore(t *testing.T) {
	const dsn = "postgres://sally:" + storePassword + "@db.internal:5433/sallyport?sslmode=verify-full"
	path := filepath.Join(t.TempDir(), "store.url")
	if err := os.WriteFile(path, []byte(dsn+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*config.Config{
		"variable": mustLoad(t, "", []string{"SALLYPORT_STORE=" + dsn}),
		"file":     mustLoad(t, "", []string{"SALLYPORT_STORE_FILE=" + path}),
		"flag":     mustLoad(t, "", nil, "--store", dsn),
		"yaml":     mustLoad(t, "store: "+dsn, nil),
	} {
		if c.Store.Reveal() != dsn {
			t.Errorf("%s: the URL is not what was given", name)
		}
		if warned := strings.Contains(strings.Join(c.Warnings, "\n"), "password"); warned != (name == "flag" || name == "yaml") {
			t.Errorf("%s: warnings %q", name, c.Warnings)
		}
		var b bytes.Buffer
		fmt.Fprintf(&b, "%v %+v %s %q %#v\n", c.Store, c, c.Store, c.Store, c.Store)
		if err := c.Print(&b, false); err != nil {
			t.Fatal(err)
		}
		if err := c.Print(&b, true); err != nil {
			t.Fatal(err)
		}
		slog.New(slog.NewTextHandler(&b, nil)).Info("x", "store", c.Store, "all", c.Warnings)
		if err := json.NewEncoder(&b).Encode(c.Store); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "pa55") {
			t.Errorf("%s: the password is printed:\n%s", name, b.String())
		}
		if !strings.Contains(b.String(), "postgres://sally:***@db.internal:5433/sallyport?sslmode=verify-full") {
			t.Errorf("%s: the rest of the URL is not printed:\n%s", name, b.String())
		}
	}
}

func TestStoreHidesKeyPassword(t *testing.T) {
	for _, dsn := range []config.StoreURL{"postgres://u@db/x?sslpassword=hidden", "postgres://u@db/x?password=hidden", "postgres://u:hidden@db/x"} {
		if text := dsn.String(); strings.Contains(text, "hidden") {
			t.Errorf("a password is shown: %s", text)
		}
	}
}

func TestStoreMistakes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(path, []byte("mysql://root:pa55@db/x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{
		"SALLYPORT_STORE=mysql://root:pa55@db/x":    `scheme "mysql"`,
		"SALLYPORT_STORE=postgres://root:pa55@db":   "names no database",
		"SALLYPORT_STORE=postgres://root:pa55%zz@x": "this is no URL",
		"SALLYPORT_STORE=sallyport.db":              "want postgres://",
		"SALLYPORT_STORE_FILE=/none":                "secret file /none",
		"SALLYPORT_STORE_FILE=" + path:              `scheme "mysql"`,
		"SALLYPORT_POSTGRES_POOLER=session":         "none or transaction",
	} {
		_, err := config.Load(config.Options{Environ: []string{env}})
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "pa55") {
			t.Errorf("%s: %v", env, err)
		}
	}
	_, err := config.Load(config.Options{Environ: []string{"SALLYPORT_STORE=postgres://a@b/c", "SALLYPORT_STORE_FILE=" + path}})
	if err == nil || !strings.Contains(err.Error(), "keep one of them") {
		t.Errorf("both: %v", err)
	}
}
