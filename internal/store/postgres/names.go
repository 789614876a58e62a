package postgres

import (
	"errors"
	"fmt"
	"math"
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

// forever is the end date of what has none.
const forever = int64(math.MaxInt64)

// namesOf lists what a user claims, sorted: two steps that want the same names
// lock them in one order.
func namesOf(u *core.User) []string {
	names := []string{u.UsernameCanon}
	if u.EmailCanon != "" && u.EmailCanon != u.UsernameCanon {
		names = append(names, u.EmailCanon)
	}
	slices.Sort(names)
	return names
}

// claim takes a name for a user. ErrExists when another has or had it lately.
func (t *tx) claim(u *core.User, name string, now int64) error {
	n, err := t.exec(`INSERT INTO login_names AS n (account, name, user_id) VALUES ($1, $2, $3)
		ON CONFLICT (account, name) DO UPDATE SET user_id = excluded.user_id, reserved_until = NULL
		WHERE n.user_id = excluded.user_id OR n.reserved_until <= $4`, u.Account, name, u.ID, now)
	if err != nil || n == 1 {
		return err
	}
	var reserved bool
	err = t.row(`SELECT reserved_until IS NOT NULL FROM login_names WHERE account = $1 AND name = $2`, u.Account, name).Scan(&reserved)
	switch {
	case err != nil && !errors.Is(err, core.ErrNoRow):
		return err
	case reserved:
		return fmt.Errorf("%w: the login name %q is still reserved for its former owner", core.ErrExists, name)
	}
	return fmt.Errorf("%w: the login name %q is taken", core.ErrExists, name)
}

// free gives up a name, reserving it: for ever when the user ever had an
// application token.
func (t *tx) free(u *core.User, name string, until int64) error {
	_, err := t.exec(`UPDATE login_names SET reserved_until = CASE
			WHEN (SELECT had_app_token FROM users WHERE id = $1) THEN $2::bigint ELSE $3::bigint END
		WHERE account = $4 AND name = $5 AND user_id = $1`, u.ID, forever, until, u.Account, name)
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
