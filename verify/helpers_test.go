package verify_test

import (
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"strings"
	"testing"
)

func expiredContext(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// answerOf makes a response of text.
func answerOf(status int, ctype, body string) *http.Response {
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {ctype}}, Body: io.NopCloser(strings.NewReader(body)),
	}
}

func encodeSegment(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
