package cli

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"

	strict "github.com/go-json-experiment/json"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/token"
)

type netosecretCmd struct {
	Decode       netosecretDecodeCmd  `cmd:"" help:"Print what a NETOSECRET holds, as JSON, the secret included."`
	Encode       netosecretEncodeCmd  `cmd:"" help:"Make a NETOSECRET of a JSON object."`
	RequestToken netosecretRequestCmd `cmd:"" help:"Sign a request token, as a vendor's client does."`
}

// netosecretEnv is the variable under which vendors' clients keep it.
const netosecretEnv = "NETOSECRET"

// netosecretInput says where the NETOSECRET is. It is never an argument
// itself: the process list is public.
type netosecretInput struct {
	File string `arg:"" optional:"" help:"File with the NETOSECRET; without one $NETOSECRET, else stdin."`
}

func (i *netosecretInput) read(e *env) (*core.Netosecret, error) {
	text := ""
	var err error
	switch {
	case i.File != "" && i.File != "-" && looksLikeNetosecret(i.File):
		return nil, usagef("give a file, not the NETOSECRET itself: arguments can be read by every user of the machine. Put it into $NETOSECRET or on stdin")
	case i.File == "" && e.getenv(netosecretEnv) != "":
		text = e.getenv(netosecretEnv)
	default:
		if text, err = e.readInput(i.File, "the NETOSECRET"); err != nil {
			return nil, err
		}
	}
	return core.DecodeNetosecret(text)
}

func looksLikeNetosecret(s string) bool {
	if _, err := os.Stat(s); err == nil {
		return false
	}
	_, err := core.DecodeNetosecret(s)
	return err == nil
}

type netosecretDecodeCmd struct{ netosecretInput }

func (c *netosecretDecodeCmd) Run(e *env) error {
	n, err := c.read(e)
	if err != nil {
		return err
	}
	return e.printJSON(n)
}

type netosecretEncodeCmd struct {
	File string `arg:"" optional:"" help:"File with the JSON object: url, appname, appkey, shortname, sharedsecret. (stdin)"`
}

func (c *netosecretEncodeCmd) Run(e *env) error {
	text, err := e.readInput(c.File, "the JSON object")
	if err != nil {
		return err
	}
	var n core.Netosecret
	if err := strict.Unmarshal([]byte(text), &n, strict.RejectUnknownMembers(true)); err != nil {
		return fmt.Errorf("a NETOSECRET is made of a JSON object with url, appname, appkey, shortname and sharedsecret, each a string and given once. This is not one: %w", err)
	}
	for _, m := range [][2]string{{"appname", n.AppName}, {"appkey", n.AppKey}, {"shortname", n.Shortname}, {"sharedsecret", n.SharedSecret}} {
		if m[1] == "" {
			return fmt.Errorf("the JSON object has no %s", m[0])
		}
	}
	if e.json {
		return e.printJSON(map[string]string{"netosecret": n.Encode()})
	}
	e.print(n.Encode() + "\n")
	return nil
}

type netosecretRequestCmd struct {
	netosecretInput
	Curl bool `help:"Print a curl call that exchanges it."`
}

func (c *netosecretRequestCmd) Run(e *env) error {
	n, err := c.read(e)
	if err != nil {
		return err
	}
	key, err := token.NewRequestKey([]byte(n.SharedSecret))
	if err != nil {
		return fmt.Errorf("the shared secret cannot sign: %w", err)
	}
	jwt, err := token.MintRequest(key, &token.RequestToken{
		AppName: n.AppName, AppKey: n.AppKey, ShortName: n.Shortname, ID: core.NewUUID(),
		IssuedAt: e.now().Unix(), NotBefore: token.Absent, ExpiresAt: token.Absent,
	})
	if err != nil {
		return fmt.Errorf("signing the request token: %w", err)
	}
	exchange := exchangeURL(n.URL)
	switch {
	case e.json:
		return e.printJSON(map[string]string{"jwt": jwt, "url": exchange})
	case c.Curl:
		body, err := json.Marshal(map[string]string{"jwt": jwt})
		if err != nil {
			return err
		}
		e.printf("curl -sS %s -H 'Content-Type: application/json' -d '%s'\n", shellQuote(exchange), body)
		return nil
	}
	e.print(jwt + "\n")
	return nil
}

// exchangeURL is where the token is exchanged; the url member comes with and
// without /api/v1.
func exchangeURL(base string) string {
	base = strings.TrimRight(base, "/")
	return strings.TrimSuffix(base, "/api/v1") + "/api/v1/auth/token"
}

// shellWord quotes only what must be.
func shellWord(s string) string {
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_./:") == "" {
		return s
	}
	return shellQuote(s)
}

func shellQuote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }
