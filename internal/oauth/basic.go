package oauth

import (
	"net/http"
	"strings"

	"github.com/sallyport/sallyport/internal/core/authserver"
)

// BasicCredential reads a client's id and secret from the Authorization header
// of a request; nil when it has no header with the scheme Basic. *core.Error
// for two headers or one that cannot be read.
func BasicCredential(r *http.Request) (*authserver.ClientCredential, error) {
	headers := r.Header.Values("Authorization")
	if len(headers) == 0 {
		return nil, nil
	}
	if scheme, _, _ := strings.Cut(headers[0], " "); !strings.EqualFold(scheme, "Basic") {
		return nil, nil
	}
	if len(headers) > 1 {
		return nil, invalidRequest("there are two Authorization headers")
	}
	cred, err := basic(headers[0])
	if err != nil {
		return nil, err
	}
	cred.Client = clientOf(r)
	return cred, nil
}
