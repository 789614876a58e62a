package oauth

import "net/http"

// browserRoutes are the endpoints that a browser is sent to, by path. Metadata
// names those that are there.
func (h *Handler) browserRoutes() map[string]http.Handler { return nil }
