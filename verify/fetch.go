package verify

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/sallyport/sallyport/internal/token"
)

const maxRedirects = 3

// ownHostOnly returns a copy of a client that stays on the host it was sent to: a redirect elsewhere would let whoever
// controls one page of the issuer name the keys, and would carry the Authorization header away.
func ownHostOnly(client *http.Client) *http.Client {
	own := http.Client{}
	if client != nil {
		own = *client
	}
	own.Jar = nil
	own.Timeout = 0 // each request has a deadline that fits it; one for all would cut polls that wait
	own.CheckRedirect = func(req *http.Request, via []*http.Request) error {
		first := via[0].URL
		if req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
			return fmt.Errorf("redirect from %s to another host, %s, is not followed", first.Host, req.URL.Host)
		}
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		return nil
	}
	return &own
}

// get sends a request and reads its answer, at most limit bytes of it.
func get(client *http.Client, req *http.Request, limit int64) (*http.Response, []byte, error) {
	res, err := client.Do(req)
	if err != nil {
		return nil, nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, limit+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read the answer: %w", err)
	}
	if int64(len(body)) > limit {
		return nil, nil, fmt.Errorf("the answer is longer than %d bytes", limit)
	}
	return res, body, nil
}

// statusError is an answer that is none.
type statusError struct {
	status int
	after  time.Duration
}

func (e *statusError) Error() string { return fmt.Sprintf("status %d", e.status) }

// answerError is the error of an answer with another status than hoped for.
func answerError(res *http.Response) error {
	after, _ := strconv.Atoi(res.Header.Get("Retry-After")) // a date, or nothing, is 0: our own pace
	return &statusError{res.StatusCode, time.Duration(max(after, 0)) * time.Second}
}

// retryAfter is how long the server asks to wait, within reason.
func retryAfter(err error) time.Duration {
	var s *statusError
	if errors.As(err, &s) {
		return min(s.after, 2*mostRepoll)
	}
	return 0
}

// mediaType checks that the answer is a signed document of a type.
func mediaType(res *http.Response, typ string) error {
	got := res.Header.Get("Content-Type")
	if kind, _, err := mime.ParseMediaType(got); err != nil || kind != "application/"+typ {
		return fmt.Errorf("Content-Type is %q, application/%s is needed", got, typ)
	}
	return nil
}

// trusted reports whether a 304 from there means anything: it is not signed, so without TLS anyone in between could send
// it for ever.
func trusted(u *url.URL) bool { return u.Scheme == "https" || loopback(u) }

// documents opens what the issuer signed beside tokens.
type documents struct {
	keys    func(context.Context) (*keySet, error)
	refetch func(context.Context) bool
}

// open checks the signature. An unknown key may be a new one; the first fetch may have begun before it was there.
func (d documents) open(ctx context.Context, text, typ string) ([]byte, error) {
	for try := 0; ; try++ {
		set, err := d.keys(ctx)
		if err != nil {
			return nil, err
		}
		payload, err := token.VerifyDocument(text, set.keys, typ)
		if !errors.Is(err, ErrSignature) || try == 2 || !d.refetch(ctx) {
			return payload, err
		}
	}
}

// pause waits, or returns false because ctx ended.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// backoff is how long to wait after the nth failure in a row: twice as long each time, up to most, and between half and
// all of that, so that a thousand verifiers do not come back at the same moment.
func backoff(failures int, first, most time.Duration) time.Duration {
	d := most
	if failures < 16 {
		d = min(most, first<<max(failures-1, 0))
	}
	return jitter(d, 0.5)
}

// jitter returns a random time from part*d to d. It spreads load and guards nothing, so its randomness is the quick one.
func jitter(d time.Duration, part float64) time.Duration {
	return time.Duration(float64(d) * (part + (1-part)*rand.Float64()))
}
