package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
)

// backupPath answers with a backup of the whole store. It stands outside the
// limits of the other routes: it takes as long as it takes.
const backupPath = "/backup"

// backupStall is how long a reader may take none of it.
const backupStall = time.Minute

// serveBackup streams a backup. A mistake after the beginning can only cut the
// connection; whoever reads finds the end missing.
func (a *api) serveBackup(c *call) error {
	if a.backup == nil {
		return core.Errorf(core.NotFound, "backups are not made here")
	}
	h := c.w.Header()
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Cache-Control", "no-store")
	return a.backup(c.ctx, c.actor, &backupWriter{c.w, http.NewResponseController(c.w)})
}

// backupWriter gives each part its own time.
type backupWriter struct {
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (b *backupWriter) Write(p []byte) (int, error) {
	// A writer without deadlines is that of the same process.
	_ = b.rc.SetWriteDeadline(time.Now().Add(backupStall))
	return b.w.Write(p)
}

// Backup streams a backup of the store into out. It may be cut off: the file
// itself tells.
func (c *Client) Backup(ctx context.Context, out io.Writer) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://sallyport"+Prefix+backupPath, nil)
	if err != nil {
		return fmt.Errorf("admin client: %w", err)
	}
	res, err := c.http.Do(req)
	if err != nil {
		var ue *url.Error
		if errors.As(err, &ue) { // see Do
			err = ue.Err
		}
		return fmt.Errorf("talking to the server: %w", err)
	}
	defer func() { _ = res.Body.Close() }() // read to its end, or given up
	if res.StatusCode != http.StatusOK {
		raw, err := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
		if err != nil {
			return fmt.Errorf("reading the server's answer: %w", err)
		}
		return problemOf(res, raw)
	}
	if _, err := io.Copy(out, res.Body); err != nil {
		return fmt.Errorf("the backup was cut off: %w", err)
	}
	return nil
}

// backupHandler is the route of serveBackup.
func (a *api) backupHandler() http.Handler {
	return httpd.LimitBody(0, httpd.Wrap(byMethod(map[string]httpd.Handler{"GET": a.bind(backupPath, a.serveBackup)}), a.writeError))
}
