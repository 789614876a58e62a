package sqlite

import (
	"database/sql"
	"errors"
	"fmt"
	"slices"

	"github.com/sallyport/sallyport/internal/core"
)

// Login names. User names and e-mail addresses of an account are one
// namespace with one row a name. Every name of a user claims its row, an
// unverified e-mail address too: were it free for others until verified, two
// users could hold one address and a later verification would have to take a
// login away from somebody. The price, that somebody may block an address that
// is not theirs, is paid in an operator's minute; the other in an account.
//
// A freed name stays reserved, since tokens that carry it live on; only its
// last owner may take it back meanwhile.

// namesOf lists what a user claims.
func namesOf(u *core.User) []string {
	names := []string{u.UsernameCanon}
	if u.EmailCanon != "" && u.EmailCanon != u.UsernameCanon {
		names = append(names, u.EmailCanon)
	}
	return names
}

// claim takes a name for a user. ErrExists when another has or had it lately.
func (t *tx) claim(u *core.User, name string, now int64) error {
	var owner string
	var until sql.NullInt64
	err := t.row(`SELECT user, reserved_until FROM login_names WHERE account = ? AND name = ?`, u.Account, name).Scan(&owner, &until)
	switch {
	case errors.Is(err, sql.ErrNoRows):
	case err != nil:
		return err
	case owner == u.ID:
	case !until.Valid:
		return fmt.Errorf("%w: the login name %q is taken", core.ErrExists, name)
	case now < until.Int64:
		return fmt.Errorf("%w: the login name %q is still reserved for its former owner", core.ErrExists, name)
	}
	_, err = t.exec(`INSERT INTO login_names (account, name, user) VALUES (?, ?, ?)
		ON CONFLICT DO UPDATE SET user = excluded.user, reserved_until = NULL`, u.Account, name, u.ID)
	return err
}

// free gives up a name, reserving it: for ever when the user ever had an
// application token.
func (t *tx) free(u *core.User, name string, until int64) error {
	_, err := t.exec(`UPDATE login_names SET reserved_until = CASE
			WHEN (SELECT had_app_token FROM users WHERE id = ?1) THEN ?2 ELSE ?3 END
		WHERE account = ?4 AND name = ?5 AND user = ?1`, u.ID, forever, until, u.Account, name)
	return err
}

// rename claims and frees what differs between two states of a user.
func (t *tx) rename(before, after *core.User, until, now int64) error {
	had, has := namesOf(before), namesOf(after)
	for _, name := range has {
		if !slices.Contains(had, name) {
			if err := t.claim(after, name, now); err != nil {
				return err
			}
		}
	}
	for _, name := range had {
		if !slices.Contains(has, name) {
			if err := t.free(after, name, until); err != nil {
				return err
			}
		}
	}
	return nil
}
