package journal

import (
	"bytes"
	"reflect"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
)

// FuzzWalk: whatever the bytes, walking ends in an error or in a prefix of whole
// records that reads the same when it is read alone.
func FuzzWalk(f *testing.F) {
	var file []byte
	check := ""
	for _, v := range []any{
		header{Journal: headerWord, Format: headerFormat, Installation: "i", Incarnation: "c", Dropped: 3},
		line{Number: 4, Kind: "user", Subject: "u", Reason: "r", At: 5, Purge: 6},
		line{Mark: 1, Upto: 4, Node: "n", Seq: 7, Hash: string(bytes.Repeat([]byte("ab"), 32)), At: 8},
		line{Note: "restored", At: 9},
	} {
		var err error
		if file, check, err = appendLine(file, check, v); err != nil {
			f.Fatal(err)
		}
		f.Add(bytes.Clone(file))
	}
	f.Add(file[:len(file)-9])                             // cut off
	f.Add(append(bytes.Clone(file), make([]byte, 40)...)) // space that a crash left
	f.Add(bytes.Replace(file, []byte(`"u"`), []byte(`"v"`), 1))
	f.Add([]byte("\n"))
	f.Add([]byte("{} 0123456789abcdef\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		read := func(data []byte) (s *scan, got []core.JournalEntry, err error) {
			s, err = walk("x", bytes.NewReader(data), func(e *core.JournalEntry) error {
				got = append(got, *e)
				return nil
			})
			return s, got, err
		}
		s, got, err := read(data)
		if err != nil {
			return
		}
		if s.good < 0 || s.good > int64(len(data)) {
			t.Fatalf("%d good bytes of %d", s.good, len(data))
		}
		again, same, err := read(data[:s.good])
		if err != nil || again.good != s.good || again.check != s.check || !reflect.DeepEqual(again.state(), s.state()) || !reflect.DeepEqual(same, got) {
			t.Fatalf("%q: its good part reads otherwise: %v", data, err)
		}
	})
}
