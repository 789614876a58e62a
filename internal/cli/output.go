package cli

import (
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/sallyport/sallyport/internal/admin"
)

// print writes to stdout. A reader that has gone (`| head`) is no error.
func (e *env) print(s string) { _, _ = io.WriteString(e.out, s) }

func (e *env) printf(format string, args ...any) { e.print(fmt.Sprintf(format, args...)) }

// note writes to stderr what is for people and not for a pipe.
func (e *env) note(format string, args ...any) {
	if !e.json {
		_, _ = fmt.Fprintf(e.err, format+"\n", args...) // see print
	}
}

// printJSON writes one indented document.
func (e *env) printJSON(v any) error {
	enc := json.NewEncoder(e.out)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// done answers an act: v with --json, else a line.
func (e *env) done(v any, format string, args ...any) error {
	if e.json {
		return e.printJSON(v)
	}
	e.printf(format+"\n", args...)
	return nil
}

// plain makes text that others wrote harmless for a terminal: control
// characters could move the cursor over other lines or change the window's
// title, and marks of direction could make a name read as another.
func plain(s string) string { return escapeControls(s, false) }

// plainLines keeps line breaks.
func plainLines(s string) string { return escapeControls(s, true) }

func escapeControls(s string, lines bool) string {
	clean := true
	for _, r := range s {
		if harmful(r) && (!lines || r != '\n') {
			clean = false
			break
		}
	}
	if clean && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		if harmful(r) && (!lines || r != '\n') {
			q := strconv.QuoteRuneToASCII(r)
			b.WriteString(q[1 : len(q)-1])
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

func harmful(r rune) bool {
	return unicode.IsControl(r) || unicode.Is(unicode.Cf, r) || r == '\u2028' || r == '\u2029'
}

// table is aligned columns without lines.
type table struct {
	head []string
	rows [][]string
}

func (t *table) add(cells ...string) {
	row := make([]string, len(cells))
	for i, c := range cells {
		if row[i] = plain(c); row[i] == "" {
			row[i] = "-"
		}
	}
	t.rows = append(t.rows, row)
}

// write prints the table, or what there is not.
func (t *table) write(e *env, none string) {
	if len(t.rows) == 0 {
		e.note("%s", none)
		return
	}
	width := make([]int, len(t.head))
	all := append([][]string{t.head}, t.rows...)
	for _, row := range all {
		for i, c := range row {
			width[i] = max(width[i], utf8.RuneCountInString(c))
		}
	}
	var b strings.Builder
	for _, row := range all {
		for i, c := range row {
			b.WriteString(c)
			if i < len(row)-1 {
				b.WriteString(strings.Repeat(" ", width[i]-utf8.RuneCountInString(c)+2))
			}
		}
		b.WriteByte('\n')
	}
	e.print(b.String())
}

// facts is one thing, a line a member.
type facts struct{ rows [][2]string }

// add leaves out what is empty.
func (f *facts) add(name, value string) {
	if value != "" {
		f.rows = append(f.rows, [2]string{name, plain(value)})
	}
}

func (f *facts) write(e *env) {
	width := 0
	for _, r := range f.rows {
		width = max(width, len(r[0]))
	}
	for _, r := range f.rows {
		e.printf("%-*s  %s\n", width, r[0], r[1])
	}
}

// ago is a past or future time in plain words, "never" for none.
func (e *env) ago(t admin.Time) string {
	if t == 0 {
		return "never"
	}
	d := e.now().Sub(time.UnixMilli(int64(t)))
	switch {
	case d < -time.Second:
		return "in " + span(-d)
	case d < 2*time.Second:
		return "just now"
	}
	return span(d) + " ago"
}

// when is both the time and how long ago, for pages with room.
func (e *env) when(t admin.Time) string {
	if t == 0 {
		return "never"
	}
	return time.UnixMilli(int64(t)).UTC().Format("2006-01-02 15:04:05 UTC") + " (" + e.ago(t) + ")"
}

// span is a length of time in the largest unit that leaves at least two of
// it, rounded.
func span(d time.Duration) string {
	const day = 24 * time.Hour
	for _, u := range []struct {
		unit, below time.Duration
		noun        string
	}{
		{time.Second, 2 * time.Minute, "second"},
		{time.Minute, 2 * time.Hour, "minute"},
		{time.Hour, 2 * day, "hour"},
		{day, 730 * day, "day"},
	} {
		if d < u.below {
			return count(int64(d.Round(u.unit)/u.unit), u.noun)
		}
	}
	return count(int64(d/(365*day)), "year")
}

func count(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
