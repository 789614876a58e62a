package admin

import (
	"net/http"

	"github.com/sallyport/sallyport/internal/core"
)

// NewAPIKey is the body that makes an API key.
type NewAPIKey struct {
	Account     string   `json:"account,omitempty"` // short name; "" = default
	AppName     string   `json:"appname"`
	Description string   `json:"description,omitempty"`
	Roles       []string `json:"roles,omitempty"`
	URL         string   `json:"url,omitempty"` // base URL in the NETOSECRET; "" = the issuer
}

// Rotation is the body that gives a key a new secret. The old one stays good
// for OverlapSeconds.
type Rotation struct {
	OverlapSeconds int64  `json:"overlap_seconds,omitempty"`
	URL            string `json:"url,omitempty"`
}

func (a *api) listAPIKeys(c *call) error {
	return listInAccounts(a, c, func(account, after string, n int) ([]*core.APIKeyRecord, error) {
		return a.svc.ListAPIKeys(c.ctx, core.APIKeyQuery{Account: account, After: after, Limit: n})
	}, func(k *core.APIKeyRecord, shortname string) (APIKey, string) {
		return apiKeyOf(&k.APIKey, shortname), k.AppName
	})
}

func (a *api) createAPIKey(c *call) error {
	var in NewAPIKey
	if err := c.body(&in); err != nil {
		return err
	}
	if in.AppName == "" {
		return missing("appname")
	}
	made, err := a.svc.CreateAPIKey(c.ctx, c.actor, core.NewAPIKey{
		Account: in.Account, AppName: in.AppName, Description: in.Description, Roles: in.Roles, URL: in.URL,
	})
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, madeAPIKeyOf(made))
}

// apiKey reads the key that the path names, by id and nothing else.
func (a *api) apiKey(c *call) (*core.APIKeyRecord, error) {
	id := c.r.PathValue("id")
	k, err := a.svc.FindAPIKey(c.ctx, "", id)
	if err == nil && k.ID != id || core.CodeOf(err) == core.NotFound {
		return nil, core.Errorf(core.NotFound, "there is no API key with id %q", clip(id, 60))
	}
	return k, err
}

func (a *api) getAPIKey(c *call) error {
	k, err := a.apiKey(c)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, apiKeyOf(&k.APIKey, k.AccountShortname))
}

func (a *api) lookupAPIKey(c *call) error {
	q, err := c.query("account", "ref")
	if err != nil {
		return err
	}
	k, err := a.svc.FindAPIKey(c.ctx, q.Get("account"), q.Get("ref"))
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, apiKeyOf(&k.APIKey, k.AccountShortname))
}

func (a *api) rotateAPIKey(c *call) error {
	var in Rotation
	if err := c.body(&in); err != nil {
		return err
	}
	const most = 1 << 40 // seconds; the core says what is sensible, this keeps the product in range
	if in.OverlapSeconds < 0 || in.OverlapSeconds > most {
		return core.Errorf(core.FieldInvalid, "overlap_seconds is out of range")
	}
	k, err := a.apiKey(c)
	if err != nil {
		return err
	}
	made, err := a.svc.RotateAPIKey(c.ctx, c.actor, k.ID, in.OverlapSeconds*1000, in.URL)
	if err != nil {
		return err
	}
	return c.answer(http.StatusOK, madeAPIKeyOf(made))
}

func (a *api) deleteAPIKey(c *call) error {
	k, err := a.apiKey(c)
	if err != nil {
		return err
	}
	if err := a.svc.DeleteAPIKey(c.ctx, c.actor, k.ID); err != nil {
		return err
	}
	return c.noContent()
}

func (a *api) setAPIKeyState(state core.State) endpoint {
	return func(c *call) error {
		if err := c.body(&struct{}{}); err != nil {
			return err
		}
		k, err := a.apiKey(c)
		if err != nil {
			return err
		}
		if err := a.svc.SetAPIKeyState(c.ctx, c.actor, k.ID, state); err != nil {
			return err
		}
		k.State = state
		return c.answer(http.StatusOK, apiKeyOf(&k.APIKey, k.AccountShortname))
	}
}
