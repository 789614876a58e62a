package oauth

import (
	"net/http"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/core/authserver"
)

// ownPage begins what a login form carries that leads to the user's own page,
// with the short name of an account behind it. No authorization request begins
// so: what is encoded has no such sign.
const ownPage = "#account="

// forAccount is the way on to the user's own page.
func (b *browser) forAccount(account string) *destination {
	if account == "" || len(account) > 100 {
		account = core.DefaultAccount
	}
	return &destination{
		account: account, request: ownPage + account, next: b.prefix + pathAccount,
		refusal: func(err error) error { return err },
	}
}

// account shows a user what applications may do in his name and where he is
// signed in, and ends what he wants ended (SECURITY 45).
func (b *browser) account(v *visit) error {
	if v.r.Method == http.MethodPost {
		return b.changeAccount(v)
	}
	params, twice, err := parameters(v.r.URL.RawQuery)
	if err != nil {
		return err
	}
	if len(twice) > 0 {
		return invalidRequest("A parameter is given twice")
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return err
	}
	if login == nil {
		return b.showLogin(v, b.forAccount(params.Get("account")), loginForm{})
	}
	return b.showAccount(v, login, cookie)
}

// changeAccount does what one of the page's forms asks for.
func (b *browser) changeAccount(v *visit) error {
	form, err := readForm(v.r)
	if err != nil {
		return err
	}
	login, cookie, err := b.who(v)
	if err != nil {
		return err
	}
	if login == nil {
		return v.redirect(b.prefix + pathAccount)
	}
	if err := b.checkForm(v, form.Get("csrf"), "account", cookie, ""); err != nil {
		return err
	}
	switch {
	case form.Get("consent") != "":
		err = b.svc.WithdrawOwnConsent(v.ctx(), login, form.Get("consent"), &v.from)
	case form.Get("session") != "":
		err = b.svc.EndOwnSession(v.ctx(), login, form.Get("session"), &v.from)
	case form.Get("others") == "all":
		err = b.svc.EndOtherSessions(v.ctx(), login, &v.from)
	}
	if err != nil {
		return err
	}
	return v.redirect(b.prefix + pathAccount)
}

// accountPage is what the user's own page shows.
type accountPage struct {
	User     string
	Action   string
	CSRF     string
	Allowed  []allowedItem
	Sessions []sessionItem
	Others   bool // there are sessions beside this browser's
}

type allowedItem struct {
	ID, Client string
	Since      when
	Items      []scopeItem
}

type sessionItem struct {
	ID, What    string
	Here        bool
	Since, Used when
	From, Agent string
}

// when is a time as people read it, to the minute.
type when int64

func (w when) String() string {
	return time.UnixMilli(int64(w)).UTC().Format("2 Jan 2006, 15:04 UTC")
}

// ISO is the same for programs.
func (w when) ISO() string { return time.UnixMilli(int64(w)).UTC().Format(time.RFC3339) }

func (b *browser) showAccount(v *visit, login *authserver.BrowserLogin, cookie string) error {
	page := accountPage{User: login.Subject.Username, Action: b.prefix + pathAccount, CSRF: b.formToken("account", cookie, "")}
	consents, err := b.svc.ConsentsOf(v.ctx(), login.Subject.ID)
	if err != nil {
		return err
	}
	for _, c := range consents {
		item := allowedItem{ID: c.Client, Client: c.ClientName, Since: when(c.CreatedAt)}
		for _, w := range c.Scope {
			item.Items = append(item.Items, describeScope(w))
		}
		page.Allowed = append(page.Allowed, item)
	}
	sessions, err := b.svc.OwnSessions(v.ctx(), login)
	if err != nil {
		return err
	}
	for _, s := range sessions {
		page.Sessions = append(page.Sessions, sessionItem{
			ID: s.ID.String(), What: whatSession(&s), Here: s.Here,
			Since: when(minute(s.CreatedAt)), Used: when(minute(s.LastUsedAt)), From: s.Address, Agent: s.UserAgent,
		})
		page.Others = page.Others || !s.Here
	}
	return b.show(v, http.StatusOK, "account", "Your account", "", "", page)
}

func minute(ms int64) int64 { return ms - ms%60_000 }

// whatSession names what a session is of.
func whatSession(s *authserver.OwnSession) string {
	switch {
	case s.Client != "":
		return s.Client
	case s.Mount == core.BrowserMount:
		return "Browser"
	}
	return "The API (" + s.Mount + ")"
}
