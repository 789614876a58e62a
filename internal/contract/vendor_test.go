package contract

import "testing"

const jsonType = "Content-Type: application/json"

func TestVendorContractsAnswer(t *testing.T) {
	rt, _ := mountOf(t, newFake(), "pathstack", "itempath", "netography")
	h := serveRouter(rt)
	for _, c := range []struct {
		line, body string
		headers    []string
		status     int
		want       string
	}{
		{"POST /token", `{"username":"mgordon","password":"pwd Test-1!"}`, []string{jsonType}, 200,
			`{"data":{"token_type":"Bearer","expires_in":3600,"access_token":"acc.ess.tok","refresh_token":"ref.resh.tok","sub":"a6caf0bd-dbdf-4dfb-bcab-34f73e4c5b64"}}`},
	} {
		w := do(t, h, c.line, c.body, c.headers...)
		if w.Code != c.status || w.Body.String() != c.want {
			t.Errorf("%s: %d %s", c.line, w.Code, w.Body)
		}
	}
}
