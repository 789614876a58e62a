package core_test

import (
	"strings"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// TestSecurity48_ContextWords: what a guesser who knows the person, the customer and the
// host tries first is refused, wherever a password is set; the words say what
// to do and never repeat the password.
func TestSecurity48_ContextWords(t *testing.T) {
	w := newWorld(t, itempath("item", core.DefaultAccount))
	_, err := w.svc.CreateAccount(w.ctx, admin, "bluecrane")
	w.must(err)
	u, err := w.svc.CreateUser(w.ctx, admin, core.NewUser{Account: "bluecrane", Username: "rosalind", Email: "r.tanaka@herons.example", Password: right})
	w.must(err)
	for _, pw := range []string{
		"rosalind-rosalind-1", "Ros@lind-R0salind", "r.tanaka@herons.example", "tanaka.tanaka.tanaka1", "bluecrane-bluecrane-1",
		"Sallyport-Sallyport!", "Bluecrane-Sallyport1", "password-of-rosalind", "short", "liverpool-chelsea",
	} {
		_, set := w.svc.SetPassword(w.ctx, admin, u.ID, pw, true, "")
		_, create := w.svc.CreateUser(w.ctx, admin, core.NewUser{Account: "bluecrane", Username: "rosalind", Email: "r.tanaka@herons.example", Password: pw})
		for _, err := range []error{set, create} {
			wantCode(t, err, core.FieldInvalid)
			e := err.(*core.Error)
			if text := e.Violations[0].Message; strings.Contains(text, pw) || !strings.Contains(text, "word") {
				t.Errorf("%q: %s", pw, text)
			}
		}
	}
	_, err = w.svc.SetPassword(w.ctx, admin, u.ID, "nine otters kneading rosalind's dough", true, "")
	w.must(err)
}
