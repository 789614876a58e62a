package cli

import (
	"encoding/json"
	"net/url"

	"github.com/sallyport/sallyport/internal/admin"
)

// list reads a list to its end and prints it: as a table filled by row, or
// with --json as one array, written while it is read.
func list[T any](e *env, path string, query url.Values, none string, t *table, row func(T)) error {
	cl, err := e.connect()
	if err != nil {
		return err
	}
	if e.json {
		return listJSON[T](e, cl, path, query)
	}
	for item, err := range admin.List[T](e.ctx, cl, path, query) {
		if err != nil {
			return err
		}
		row(item)
	}
	t.write(e, none)
	return nil
}

func listJSON[T any](e *env, cl *admin.Client, path string, query url.Values) error {
	sep, end := "[\n  ", "[]\n"
	for item, err := range admin.List[T](e.ctx, cl, path, query) {
		if err != nil {
			return err
		}
		b, err := json.MarshalIndent(item, "  ", "  ")
		if err != nil {
			return err
		}
		e.print(sep + string(b))
		sep, end = ",\n  ", "\n]\n"
	}
	e.print(end)
	return nil
}

// values makes a query of what is not empty.
func values(pairs ...string) url.Values {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	return q
}
