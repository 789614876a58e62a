// Package client gets access tokens from a Sallyport server and keeps them good for as long as a program runs.
//
//	src, err := client.NewPathStack(client.PathStack{URL: "https://auth.example.com", Username: "scanner", Password: pw}, client.Options{})
//	…
//	api := &http.Client{Transport: client.NewTransport(src, nil)}
//	res, err := api.Get("https://auth.example.com/api/stations")
//
// # How the pieces move
//
// NewPathStack, NewItemPath, NewNetography, NewClientCredentials and NewOAuthUser each give a Session: a Source that
// holds one token. Token answers from memory. In the last 20 to 30 percent of a token's life it still answers at once
// and starts a refresh behind the caller's back; when the token is over, callers wait. There is one refresh at a time,
// however many callers wait for it, and a caller that gives up does not stop it.
//
// An answer that does not arrive (a broken connection, a 5xx, half a body) is asked for again with the same refresh
// token: the server gives the same successor for two minutes, so nobody is logged out and nothing forks. When the
// server refuses the refresh token, the Session logs in again if it has what it takes; if not, Token says
// ErrLoginRequired. Failures are followed by a pause that grows, and Retry-After is obeyed.
//
// Transport puts the token on the requests to the origins it is for, and to no other, and repeats a request once when
// the answer is 401. With Options.Store the token outlives the process.
//
// # What it does not do
//
// It does not verify tokens (package verify does), open a browser, or log anything. The text of an error has no
// password, token or key in it, and neither has a Token or Session that is printed.
package client
