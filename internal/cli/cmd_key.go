package cli

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/admin"
)

type keyCmd struct {
	List   keyListCmd   `cmd:"" help:"List signing keys."`
	Rotate keyRotateCmd `cmd:"" help:"Publish the next key of a set, or let it sign."`
	Drop   keyDropCmd   `cmd:"" help:"Drop a key: what it signed is refused."`
	Import keyImportCmd `cmd:"" help:"Let an HS256 secret that others hold sign a mount's tokens."`
	Export keyExportCmd `cmd:"" name:"export-public" help:"Print public keys as JSON (JWK)."`
	Rewrap keyRewrapCmd `cmd:"" help:"Change the master key, without a pause."`
}

type keyListCmd struct{}

func (c *keyListCmd) Run(e *env) error {
	t := &table{head: []string{"ID", "MOUNT", "KIND", "ALG", "CLASS", "STATE", "SINCE", "FETCHED"}}
	return list(e, "/keys", nil, "There are no signing keys; `sallyport serve` makes them.", t, func(k admin.SigningKey) {
		since := e.when(k.ActivatedAt)
		switch k.State {
		case "next":
			since = "signs from " + e.when(k.SignsFrom)
		case "verify-only":
			since = e.when(k.RetiredAt)
		}
		fetched := "" // nobody fetches a secret
		if k.Thumbprint != "" {
			fetched = "never"
			if k.FetchedAt != 0 {
				fetched = e.when(k.FetchedAt)
			}
		}
		t.add(k.ID, k.Mount, k.Kind, k.Algorithm, k.Class, k.State, since, fetched)
	})
}

// keySetArg names a set of keys.
type keySetArg struct {
	Mount string `arg:"" help:"Mount whose tokens they sign. Not of a mount: oauth (tokens of OAuth), browser (logins at our pages), _feed (revocations); see key list."`
	Kind  string `arg:"" help:"What they sign: access, refresh, id or application tokens, or revocations."`
}

func (a *keySetArg) set() admin.KeySet { return admin.KeySet{Mount: a.Mount, Kind: a.Kind} }

type keyRotateCmd struct {
	keySetArg
	Now bool `help:"Do not wait until verifiers have the new key."`
}

func (c *keyRotateCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var done admin.Rotated
	if err := cl.Post(e.ctx, "/keys/rotate", admin.KeyRotation{KeySet: c.set(), Now: c.Now}, &done); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(done)
	}
	if done.Warning != "" {
		e.note("Warning: %s.", plain(done.Warning))
	}
	if done.Published != "" {
		e.printf("Key %s is published and signs from %s.\n", done.Published, e.when(done.SignsFrom))
		return nil
	}
	e.printf("Key %s signs now. %s verifies what it signed.\n", done.Activated, done.Retired)
	return nil
}

type keyDropCmd struct {
	ID string `arg:"" help:"Key id, see key list."`
	confirmFlag
}

func (c *keyDropCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	path := "/keys/" + url.PathEscape(c.ID)
	var ends admin.KeyEnds
	if err := cl.Get(e.ctx, path+"/ends", nil, &ends); err != nil {
		return err
	}
	what := "dropping the key " + ends.ID
	switch {
	case ends.Everything:
		what += fmt.Sprintf(", which ends all sessions (%d live) of all mounts and makes a new key sign at once,", ends.Sessions)
	case ends.Active:
		what += ", in whose place a new key signs at once,"
	case ends.Sessions > 0:
		what += fmt.Sprintf(", after which sessions that it signed the refresh token of (%d live) can be refreshed no more,", ends.Sessions)
	}
	if err := e.confirm(c.confirmFlag, what); err != nil {
		return err
	}
	if err := cl.Post(e.ctx, path+"/drop", nil, &ends); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(ends)
	}
	e.printf("Key %s is dropped.\n", ends.ID)
	if ends.Replaced != "" {
		e.printf("Key %s signs in its place. Verifiers refuse what it signs until they fetch the keys again, in five minutes at most.\n", ends.Replaced)
	}
	switch {
	case ends.Everything:
		e.printf("Sessions ended: %d.\n", ends.Sessions)
	case ends.Sessions > 0:
		e.printf("Sessions that need a new login: %d.\n", ends.Sessions)
	}
	if ends.Renewed {
		e.printf("If it had leaked, end what was renewed with it, too: sallyport session revoke --everything\n")
	}
	return nil
}

type keyImportCmd struct {
	keySetArg
	File      string `arg:"" optional:"" help:"File with the secret. (stdin)"`
	WeakUntil string `placeholder:"DATE" help:"Take a secret of fewer than 32 bytes until this day (2027-01-31)."`
}

func (c *keyImportCmd) Run(e *env) error {
	if c.WeakUntil != "" {
		if _, err := time.Parse(time.DateOnly, c.WeakUntil); err != nil {
			return usagef("--weak-until takes a date like 2027-01-31")
		}
	}
	secret, err := e.readInput(c.File, "the secret")
	if err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var made admin.Imported
	in := admin.KeyImport{KeySet: c.set(), Secret: secret, WeakUntil: c.WeakUntil}
	if err := cl.Post(e.ctx, "/keys/import", in, &made); err != nil {
		return err
	}
	return e.done(made, "Key %s signs now. What the key before signed stays good until that one is dropped.", made.ID)
}

type keyExportCmd struct {
	ID string `arg:"" optional:"" help:"Key id. (all, as a JWK Set)"`
}

func (c *keyExportCmd) Run(e *env) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var doc json.RawMessage
	if err := cl.Get(e.ctx, "/keys/public", values("id", c.ID), &doc); err != nil {
		return err
	}
	return e.printJSON(doc)
}

type keyRewrapCmd struct {
	NewMasterKeyFile string `required:"" placeholder:"FILE" help:"File of the new master key, mode 0600 (openssl rand -base64 32). The server reads it."`
}

func (c *keyRewrapCmd) Run(e *env) error {
	file, err := filepath.Abs(c.NewMasterKeyFile)
	if err != nil {
		return err
	}
	cl, err := e.connect()
	if err != nil {
		return err
	}
	var done admin.Rewrapped
	if err := cl.Post(e.ctx, "/keys/rewrap", admin.Rewrapping{File: file}, &done); err != nil {
		return err
	}
	if e.json {
		return e.printJSON(done)
	}
	e.printf("The store is sealed under the master key %s; %s opens it no more.\n", done.To, done.From)
	e.printf("The next start needs the new key. Put %s where the old one was, or set master_key_file to it, and back it up.\n"+
		"Backups made until now need the old key: keep it as long as them.\n", plain(file))
	return nil
}
