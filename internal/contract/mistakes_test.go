package contract

import (
	"strings"
	"testing"
)

// good is a file that passes; the table below breaks it line by line.
const good = `format: 1
contract: acme
tokens:
  kind_claim: type
  access: {lifetime: 15m, claims: {name: $user.username}}
  refresh: {lifetime: 30d, rotation: {grace: 2m}}
inputs:
  mode: {enum: [a, b], default: a}
routes:
  - route: POST /login
    grant: password
    accept:
      json: {user: $username, pass: $password, mode: $mode}
    answer:
      body: {token: $access_token, refresh: $refresh_token}
  - route: POST /refresh
    grant: refresh
    accept: {json: {refresh: $refresh_token}}
    answer:
      body: {token: $access_token, refresh: $refresh_token}
error: {body: {error: $message}}
errors:
  bad_request: {}
  unauthorized: {}
  forbidden: {}
  not_found: {}
  conflict: {}
  too_many: {}
  unavailable: {}
  internal: {}
`

func TestGoodFile(t *testing.T) {
	if _, err := Parse("acme.yaml", []byte(good)); err != nil {
		t.Fatal(err)
	}
}

func TestMistakes(t *testing.T) {
	for _, c := range []struct{ name, old, new, want string }{
		{"format missing", "format: 1\n", "", "acme.yaml:1:1: `format` is missing; begin the file with `format: 1`"},
		{"format unknown", "format: 1", "format: 2", "acme.yaml:1:9: format 2 is not known; this version reads `format: 1`"},
		{"unknown key", "tokens:", "token:", "acme.yaml:3:1: \"token\" is no key of a contract file; did you mean tokens?"},
		{"name", "contract: acme", "contract: Acme", "acme.yaml:2:11: \"Acme\" is no contract name; use lower-case letters, digits and dashes, a letter first"},
		{"duration", "15m", "15 minutes", "acme.yaml:5:22: `lifetime: 15 minutes` is no length of time; write one such as 90s, 15m, 24h or 30d"},
		{"lifetime range", "15m", "1s", "acme.yaml:5:22: `lifetime: 1s` is out of range; want 10s to 365d"},
		{"algorithm", "{lifetime: 15m,", "{lifetime: 15m, alg: HS265,", "acme.yaml:5:32: `alg: HS265` is not known; did you mean HS256?"},
		{"none", "{lifetime: 15m,", "{lifetime: 15m, alg: none,", "acme.yaml:5:32: `alg: none` is not known; want one of ES256, EdDSA, HS256, RS256"},
		{"refresh algorithm", "{lifetime: 30d,", "{lifetime: 30d, alg: ES256,", "acme.yaml:6:33: `alg: ES256` for a refresh token: only we read it, and it must come out the same byte for byte each time; want HS256"},
		{"reserved claim", "{name: $user.username}", "{exp: 5}", "acme.yaml:5:36: the claim exp is written for every token, verification and revocation stand on it; set `lifetime`"},
		{"reserved claim in upper case", "{name: $user.username}", "{ISS: x}", "acme.yaml:5:36: the claim ISS is written for every token, verification and revocation stand on it; set a constant with `issuer`"},
		{"kind claim", "{name: $user.username}", "{type: x}", "acme.yaml:5:36: the claim type says the token's kind; set its value with `kind` instead"},
		{"value that rotates", "{lifetime: 30d,", "{lifetime: 30d, claims: {n: $user.username},", "acme.yaml:6:40: $user.username does not exist in claims of a refresh token; a refresh token is made again from the session's row alone, so it may name only constants and $session_id, $session_started, $login_name, $subject"},
		{"same kinds", "{lifetime: 30d,", "{lifetime: 30d, kind: access,", "acme.yaml:6:12: access and refresh tokens have the same `kind: access`; a token must be of one kind alone"},
		{"grace", "{grace: 2m}", "{grace: 20m}", "acme.yaml:6:46: `grace: 20m` is out of range; want 0s to 10m"},
		{"rotation word", "{grace: 2m}", "always", "acme.yaml:6:38: `rotation` is always; want `never`, or a mapping such as {grace: 2m}"},
		{"claim value", "$user.username}", "$user.usrname}", "acme.yaml:5:42: $user.usrname is no value in claims; did you mean $user.username? Data of your own are attributes: $user.attributes.usrname"},
		{"grant", "grant: password", "grant: pasword", "acme.yaml:11:12: `grant: pasword` is not known; did you mean password?"},
		{"method", "POST /login", "POTS /login", "acme.yaml:10:12: \"POTS\" is no method for a route; did you mean POST?"},
		{"path", "POST /login", "POST login", "acme.yaml:10:12: the path login must begin with a slash"},
		{"route line", "POST /login", "/login", "acme.yaml:10:12: `route: /login` is not method and path; want them as in POST /login or POST,GET /refresh"},
		{"path parameter unread", "POST /login", "POST /login/{realm}", "acme.yaml:10:5: the parameter {realm} of the path goes nowhere; name it in `accept: {path: {realm: $…}}`"},
		{"input", "$username,", "$user_name,", "acme.yaml:13:20: $user_name is no input; did you mean $username?, or declare one of your own under `inputs: {user_name: {}}`"},
		{"need", "pass: $password, ", "", "acme.yaml:10:5: `grant: password` needs $password, and `accept` does not name it; add it, such as `accept: {json: {password: $password}}`"},
		{"max_age elsewhere", "grant: password", "grant: password\n    max_age: 5m", "acme.yaml:12:14: `max_age` is for `grant: application_token`; leave it out"},
		{"secret in query", "json: {user: $username, pass: $password, mode: $mode}", "query: {user: $username, pass: $password, mode: $mode}", "acme.yaml:13:38: $password in the query: URLs end up in logs and histories; move it to the body or a header, or say `secret_in_url: true` at the route if the clients leave no choice"},
		{"place twice", "pass: $password,", "pass: $password, \"pass\": $mode,", "acme.yaml:13:48: pass stands here twice; keep one"},
		{"input unused", "mode: $mode}", "x: y}", "acme.yaml:8:3: the input mode is declared here but no route reads it; name it in an `accept` as $mode, or leave it out"},
		{"default outside enum", "default: a", "default: c", "acme.yaml:8:33: `default: c` is not what the input itself must be: must be one of a, b"},
		{"input named as a value", "mode: {enum", "subject: {}\n  scope: {enum", "acme.yaml:9:3: scope is the name of a value; name the input otherwise, such as scope_given"},
		{"answer value", "{token: $access_token, refresh: $refresh_token}\n  - route", "{token: $acces_token, refresh: $refresh_token}\n  - route", "acme.yaml:15:21: $acces_token is no value in an answer of `grant: password`; did you mean $access_token?"},
		{"secret echoed", "{token: $access_token, refresh: $refresh_token}\n  - route", "{token: $access_token, pw: $password}\n  - route", "acme.yaml:15:40: $password is a secret that the client sent; a secret is never written back"},
		{"lone dollar", "{error: $message}", "{error: costs 5$}", "acme.yaml:21:23: a lone dollar sign in \"$\"; write $$ for a dollar sign, or $name for a value"},
		{"filter", "{error: $message}", "{error: $message|uper}", "acme.yaml:21:23: $message|uper: |uper is no filter; did you mean upper?"},
		{"filter type", "{error: $message}", "{error: $message|rfc3339}", "acme.yaml:21:23: $message|rfc3339: |rfc3339 does not apply to text; it wants a time"},
		{"layout", "{error: $message}", "{error: $now|layout(hello)}", "acme.yaml:21:23: $now|layout(hello): the layout says nothing of the time; write how 2006-01-02 15:04:05 should look"},
		{"user in an error", "{error: $message}", "{error: $user.username}", "acme.yaml:21:23: $user.username does not exist in an error; a refusal must not tell who exists"},
		{"operator", "{error: $message}", "{error: {$wen: $code}}", "acme.yaml:21:24: $wen is no operator of a template; did you mean $when? (a member that begins with a dollar sign is written $$wen)"},
		{"error kind", "  conflict: {}", "  conflict: {}\n  token_expird: {}", "acme.yaml:28:3: \"token_expird\" is no kind of error; did you mean token_expired?"},
		{"root missing", "  conflict: {}\n", "", "acme.yaml:22:1: `errors` has no words for conflict; every contract needs them, all other kinds fall back on these; {} takes the usual status and the body of `error`"},
		{"tab", "  access: {", "\taccess: {", "acme.yaml:5:1: not YAML: a tab; YAML is indented with spaces alone"},
		{"number without a unit", "15m", "900", "acme.yaml:5:22: `lifetime: 900` has no unit; write 900s for seconds, or one such as 15m, 24h or 30d"},
		{"method in lower case", "POST /login", "post /login", "acme.yaml:10:12: \"post\" is no method for a route; did you mean POST?"},
		{"parameter of another kind", "POST /login", "POST /login/:id", "acme.yaml:10:12: the path /login/:id has :id, which is no parameter here; write it as {name}"},
		{"dollar sign forgotten in accept", "user: $username", "user: username", "acme.yaml:10:5: `grant: password` needs $username, and `accept` does not name it; `user: username` is a constant; write `user: $username`"},
		{"dollar sign forgotten in an answer", "{token: $access_token, refresh: $refresh_token}\nerror", "{token: access_token, refresh: $refresh_token}\nerror", "acme.yaml:20:7: this answer writes the word access_token and no answer of the route the token; write $access_token"},
		{"other word for an input", "user: $username", "user: $email", "acme.yaml:13:20: $email is no input; did you mean $username?, or declare one of your own under `inputs: {email: {}}`"},
		{"other word for a grant", "grant: password", "grant: login", "acme.yaml:11:12: `grant: login` is not known; did you mean password?"},
		{"other word for a filter", "refresh: $refresh_token}\n  - route", "refresh: $refresh_token, e: $expires_in|ms}\n  - route", "acme.yaml:15:64: $expires_in|ms: |ms is no filter; did you mean milliseconds?"},
		{"data of one's own", "$user.username}", "$user.site}", "acme.yaml:5:42: $user.site is no value in claims; did you mean $user.id? Data of your own are attributes: $user.attributes.site"},
		{"answer not indented", "    answer:\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "    body: {token: $access_token, refresh: $refresh_token}\n  - route", "acme.yaml:14:5: \"body\" is no key of a route; it stands under `answer`, further in"},
		{"lifetime at a route", "grant: password", "grant: password\n    lifetime: 1h", "acme.yaml:12:5: \"lifetime\" is no key of a route; it belongs to a token: `tokens: {access: {lifetime: …}}`"},
		{"status in quotes", "conflict: {}", "conflict: {status: \"409\"}", "acme.yaml:27:22: `status: \"409\"` is text; write the number without quotes"},
		{"error of nothing", "conflict: {}", "conflict:", "acme.yaml:27:12: conflict is nothing; write {} for the usual status and the body of `error`"},
		{"cookie without a mapping", "    answer:\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "    answer:\n      cookies: {sid: $access_token}\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "acme.yaml:15:22: a cookie is text; want a mapping such as {value: $access_token}"},
		{"Authorization as a header", "accept: {json: {refresh: $refresh_token}}", "accept: {header: {Authorization: $refresh_token}}", "acme.yaml:18:23: Authorization has a section of its own; use `bearer: $…`, `basic: {…}` or `authorization: {SCHEME: $…}`"},
		{"value's name for an input", "mode: {enum", "method: {optional: true}\n  mode: {enum", "acme.yaml:8:3: method is the name of a value; name the input otherwise, such as method_given"},
		{"status of unavailable", "unavailable: {}", "unavailable: {status: 401}", "acme.yaml:29:25: unavailable is a failure of the server: its status is 500 to 599, such as 503, or clients would throw good tokens away"},
		{"status of bad request", "bad_request: {}", "bad_request: {status: 500}", "acme.yaml:23:25: bad_request is about the request: its status is 400 to 499, such as 400"},
		{"rotation logs out", "{token: $access_token, refresh: $refresh_token}\nerror", "{token: $access_token}\nerror", "acme.yaml:16:5: refresh tokens rotate, and the answer of this refresh carries no $refresh_token: clients would be logged out; add it, or say `rotation: never`"},
		{"same route", "POST /refresh", "POST /login", "acme.yaml:16:5: POST /login is a route already (line 10) and that one has no `when`; give it one such as `when: {grant_type: password}`"},
		{"anchor", "  bad_request: {}", "  bad_request: &x {}", "acme.yaml:23:16: anchors, aliases, tags and merge keys are not part of the format; write the value itself"},
		{"second document", "  internal: {}", "  internal: {}\n---\nformat: 1", "acme.yaml:32:1: a second document; a contract file holds one"},
		{"id token", "  refresh: {life", "  id: {alg: HS256}\n  refresh: {life", "acme.yaml:6:13: `alg: HS256` for an id token: those who read it have no key of ours but the published ones; want ES256, EdDSA or RS256"},
		{"application lifetime", "  refresh: {life", "  application: {lifetime: 1h}\n  refresh: {life", "acme.yaml:6:27: an application token never expires; leave `lifetime` out (it is revoked instead)"},
		{"cors", "error: {body", "cors: {origins: [\"*\"], credentials: true}\nerror: {body", "acme.yaml:21:7: cors: credentials cannot be allowed for the origin \"*\"; list the origins by name"},
		{"body forgotten", "      body: {token: $access_token, refresh: $refresh_token}\n  - route", "      token: $access_token\n      refresh: $refresh_token\n  - route", "acme.yaml:15:7: \"token\" is no key of an answer; what the client reads stands under `body`: `answer: {body: {token: …}}`"},
		{"header written for us", "    answer:\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "    answer:\n      headers: {Set-Cookie: x}\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "acme.yaml:15:17: Set-Cookie is written for you (see `cookies`); leave it out"},
		{"body with 204", "    answer:\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "    answer:\n      status: 204\n      body: {token: $access_token, refresh: $refresh_token}\n  - route", "acme.yaml:15:7: status 204 has no body; leave `body` out, or answer 200"},
		{"hands out nothing", "{token: $access_token, refresh: $refresh_token}\n  - route", "{ok: true}\n  - route", "acme.yaml:10:5: no answer of this route hands out a token; add one such as $access_token"},
		{"route's tokens of another grant", "grant: refresh", "grant: verify\n    tokens: {access: {lifetime: 1h}}", "acme.yaml:18:13: `tokens` of a route is for password, request_token, refresh and renew; leave it out of `grant: verify`"},
		{"session's length at a refresh", "grant: refresh", "grant: refresh\n    tokens: {refresh: {lifetime: 90d}}", "acme.yaml:18:23: `refresh` at a route of `grant: refresh`: how long a session lasts is said by the route that opens it; move it there"},
		{"session beside refresh tokens", "grant: password", "grant: password\n    tokens: {session: {idle: 90d}}", "acme.yaml:12:23: `session` is for routes without $refresh_token; with it, set `refresh: {lifetime: …}`"},
		{"route's token has more", "grant: password", "grant: password\n    tokens: {access: {alg: ES256}}", "acme.yaml:12:23: \"alg\" is no key of a token of a route (the rest is the contract's, since all routes share keys and verification); want one of claims, lifetime"},
		{"route's token that the contract lacks", "grant: password", "grant: password\n    tokens: {id: {lifetime: 1h}}", "acme.yaml:12:18: `id` at a route, and the contract's `tokens` has no id; add it there"},
		{"route's token lives too long", "grant: password", "grant: password\n    tokens: {access: {lifetime: 60d}}", "acme.yaml:12:13: access tokens live 60d and their sessions end 30d after the last refresh; let refresh tokens live at least as long"},
		{"route's kind claim", "grant: password", "grant: password\n    tokens: {access: {claims: {type: x}}}", "acme.yaml:12:32: the claim type says the token's kind; set its value with `kind` instead"},
		{"alike names", "grant: password", "grant: password\n    tokens: {name: a, access: {lifetime: 1h}}\n  - route: POST /login2\n    grant: password\n    tokens: {name: a, access: {lifetime: 2h}}\n    accept: {json: {user: $username, pass: $password, mode: $mode}}\n    answer: {body: {token: $access_token}}\n  - route: POST /login3\n    grant: password", "acme.yaml:15:13: these tokens are called a like those on line 12 and differ; give one of them another `name`"},
		{"claim var", "{lifetime: 30d,", "{lifetime: 30d, claims: {var: x},", "acme.yaml:6:37: the claim var of a refresh token names a route's own `tokens`; name yours otherwise"},
		{"access outlives refresh", "15m", "60d", "acme.yaml:5:11: access tokens live 60d and their sessions end 30d after the last refresh; let refresh tokens live at least as long"},
		{"place that is no input", "user: $username,", "user: $username, x: my $mode,", "acme.yaml:13:34: \"my $mode\" is neither an input nor a constant; write $name alone (in headers and cookies a fixed beginning may stand before it, as in `Bearer $access_token`), or $$ for a dollar sign"},
		{"gateway prefix", "error: {body", "gateway: {token: {authorization: X, prefix: y}}\nerror: {body", "acme.yaml:21:37: `prefix` goes with {header: NAME} or {cookie: NAME}; leave it out"},
		{"gateway basic", "error: {body", "gateway: {token: {basic: pasword}}\nerror: {body", "acme.yaml:21:26: `basic: pasword` is not known; did you mean password?"},
		{"gateway query of RFC 6750", "error: {body", "gateway: {secret_in_url: true, token: {query: access_token}}\nerror: {body", "acme.yaml:21:47: the gateway refuses a token in ?access_token= whatever a contract says (RFC 6750 section 2.3); use a header, as most clients can"},
		{"undeclared input in an error", "{error: $message}", "{error: $id}", "acme.yaml:21:23: $id is no value in an error; did you mean $uuid?"},
		{"gateway", "error: {body", "gateway: {token: {query: t}}\nerror: {body", "acme.yaml:21:19: a token in the query: URLs end up in logs and histories; use a header, or say `secret_in_url: true` here if the clients leave no choice"},
	} {
		t.Run(c.name, func(t *testing.T) {
			if !strings.Contains(good, c.old) {
				t.Fatalf("the good file has no %q", c.old)
			}
			_, err := Parse("acme.yaml", []byte(strings.Replace(good, c.old, c.new, 1)))
			if err == nil {
				t.Fatal("accepted")
			}
			if !strings.Contains("\n"+err.Error()+"\n", "\n"+c.want+"\n") {
				t.Errorf("got:\n%s\nwant:\n%s", err, c.want)
			}
		})
	}
}

func TestAllMistakesAreReported(t *testing.T) {
	bad := strings.NewReplacer("format: 1", "format: 9", "15m", "x", "grant: password", "grant: pw", "{error: $message}", "{error: $mesage}").Replace(good)
	_, err := Parse("acme.yaml", []byte(bad))
	ms, ok := err.(Mistakes)
	if !ok || len(ms) != 4 {
		t.Fatalf("want 4 mistakes, got %d:\n%v", len(ms), err)
	}
	for i, line := range []int{1, 5, 11, 21} {
		if ms[i].Line != line {
			t.Errorf("mistake %d is on line %d, want %d", i, ms[i].Line, line)
		}
	}
}

func TestNotYAML(t *testing.T) {
	for _, src := range []string{"", "\xff", "a: b: c", "[", "- x", "just text", strings.Repeat("[", 1000), strings.Repeat("x", maxFile+1), "a: *b", "? {a: b}\n: c"} {
		if _, err := Parse("f", []byte(src)); err == nil || !strings.HasPrefix(err.Error(), "f:") {
			t.Errorf("%.20q: %v", src, err)
		}
	}
}

// TestByteOrderMark: some editors begin a file with one.
func TestByteOrderMark(t *testing.T) {
	if _, err := Parse("acme.yaml", []byte("\uFEFF"+good)); err != nil {
		t.Fatal(err)
	}
}

// TestRenewalBeyondItsSession: an access token that outlives the session it
// renews could not be renewed near its end.
func TestRenewalBeyondItsSession(t *testing.T) {
	src := strings.NewReplacer(
		"  refresh: {lifetime: 30d, rotation: {grace: 2m}}\n", "",
		", refresh: $refresh_token}", "}",
		"grant: refresh\n", "grant: renew\n    tokens: {access: {lifetime: 1h}}\n",
		"{refresh: $refresh_token}", "{token: $access_token}",
	).Replace(good)
	want := "acme.yaml:17:13: access tokens of this route live 1h, and sessions end 15m after the last renewal; set `tokens: {session: {idle: 1h}}` of the contract or of the routes that open sessions"
	if _, err := Parse("acme.yaml", []byte(src)); err == nil || err.Error() != want {
		t.Errorf("%v\nwant\n%s", err, want)
	}
	src = strings.Replace(src, "  kind_claim: type\n", "  kind_claim: type\n  session: {idle: 1h}\n", 1)
	if _, err := Parse("acme.yaml", []byte(src)); err != nil {
		t.Error(err)
	}
}
