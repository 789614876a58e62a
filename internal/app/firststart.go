package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// metaServed is set in a store once its first start has succeeded.
const metaServed = "served"

// FirstStart reports whether this store was never served before, and remembers
// that it is now. A directory that is there proves nothing: a start that fails,
// for a port in use, leaves one, and who starts again still has to be told what
// to do next.
func (a *App) FirstStart(ctx context.Context) (bool, error) {
	_, err := a.engine.store.MetaGet(ctx, metaServed)
	if err == nil {
		return false, nil
	}
	if errors.Is(err, core.ErrNoRow) {
		_, err = a.engine.store.MetaSetOnce(ctx, metaServed, "1")
	}
	if err != nil {
		return false, fmt.Errorf("asking whether this is the first start: %w", err)
	}
	return true, nil
}
