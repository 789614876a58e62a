package sqlite

import (
	"errors"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestSchemaTwoIsAnAddition brings a store of the first schema, with data, to
// the second, and sees that the first binary's statements still work on it:
// what it does to sessions and users takes their grants and consents along.
func TestSchemaTwoIsAnAddition(t *testing.T) {
	dir := t.TempDir()
	s := openAt(t, dir)
	u, err := s.CreateUser(t.Context(), user("ann"))
	if err != nil {
		t.Fatal(err)
	}
	rewind(t, s, 1)
	closing(t, s)

	s = openAt(t, dir)
	defer closing(t, s)
	if _, err := s.UserByID(t.Context(), u.ID); err != nil {
		t.Fatal(err)
	}
	key := core.NewSessionKey()
	err = s.multi(t.Context(), func(tx *tx) error {
		for _, q := range []string{
			`INSERT INTO sessions VALUES (?1, 0, 'oauth', 'ac_default', 'user', '` + u.ID + `', 'code', '', 1, 0, 0, 0, 0, 0, '', 0, 0, 0, 1, 0, 0, 0, 0, '', '', '', 0)`,
			`INSERT INTO oauth_sessions VALUES (?1, 'client_a', '[]', '[]', 0, '', '')`,
		} {
			if _, err := tx.exec(q, key[:]); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	consent := core.Consent{User: u.ID, Client: "client_a", CreatedAt: testNow, UpdatedAt: testNow}
	if err := s.PutConsent(t.Context(), &core.PutConsentParams{Consent: consent, Now: testNow}); err != nil {
		t.Fatal(err)
	}
	if _, err := s.GrantOf(t.Context(), key); err != nil {
		t.Fatal(err)
	}
	err = s.multi(t.Context(), func(tx *tx) error {
		if _, err := tx.exec(`DELETE FROM sessions WHERE key = ?`, key[:]); err != nil {
			return err
		}
		_, err := tx.exec(`UPDATE users SET state = 'deleted' WHERE id = ?`, u.ID)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.GrantOf(t.Context(), key); !errors.Is(err, core.ErrNoRow) {
		t.Errorf("the grant of a session that is gone: %v", err)
	}
	if _, err := s.ConsentOf(t.Context(), u.ID, "client_a"); !errors.Is(err, core.ErrNoRow) {
		t.Errorf("the consent of a user that is gone: %v", err)
	}
}
