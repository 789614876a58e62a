package journal

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/sallyport/sallyport/internal/core"
)

// header is the first line.
type header struct {
	Journal      string `json:"journal"`
	Format       int    `json:"format"`
	Installation string `json:"installation"`
	Incarnation  string `json:"incarnation"`
	// Dropped: facts up to this number that are not in the file are over.
	Dropped int64 `json:"dropped"`
}

const (
	headerWord   = "sallyport facts"
	headerFormat = 1
)

// line is any record after the header; the members that are set say which kind
// it is.
type line struct {
	Number  int64  `json:"n,omitempty"` // a fact
	Kind    string `json:"k,omitempty"`
	Note    string `json:"note,omitempty"`
	Mark    int64  `json:"mark,omitempty"` // 1 for a mark
	Upto    int64  `json:"upto,omitempty"`
	Node    string `json:"node,omitempty"`
	Subject string `json:"s,omitempty"`
	Spare   string `json:"x,omitempty"`
	Reason  string `json:"r,omitempty"`
	Seq     int64  `json:"seq,omitempty"`
	Hash    string `json:"hash,omitempty"`
	At      int64  `json:"at"`
	Purge   int64  `json:"p,omitempty"`
	Keep    int64  `json:"keep,omitempty"`
}

func lineOf(e *core.JournalEntry) (line, error) {
	switch {
	case e.Fact != nil:
		f := e.Fact
		return line{
			Number: f.Number, Kind: string(f.Kind), Subject: f.Subject, Spare: f.Spare, Reason: f.Reason,
			At: f.At, Purge: f.PurgeAt, Keep: e.KeepUntil,
		}, nil
	case e.Note != nil:
		return line{Note: string(e.Note.Kind), Subject: e.Note.Subject, At: e.Note.At, Keep: e.KeepUntil}, nil
	case e.Mark != nil:
		return line{Mark: 1, Upto: e.Mark.Facts, Node: e.Mark.Node, Seq: e.Mark.Sequence, Hash: hex.EncodeToString(e.Mark.Hash[:]), At: e.Mark.At}, nil
	}
	return line{}, errors.New("an empty journal entry")
}

func (l *line) entry() (core.JournalEntry, error) {
	switch {
	case l.Number > 0:
		return core.JournalEntry{KeepUntil: l.Keep, Fact: &core.Fact{
			Number: l.Number, Kind: core.FactKind(l.Kind), Subject: l.Subject, Spare: l.Spare, Reason: l.Reason, At: l.At, PurgeAt: l.Purge,
		}}, nil
	case l.Note != "":
		return core.JournalEntry{KeepUntil: l.Keep, Note: &core.JournalNote{Kind: core.NoteKind(l.Note), Subject: l.Subject, At: l.At}}, nil
	case l.Mark != 0:
		m := &core.JournalMark{Facts: l.Upto, Node: l.Node, Sequence: l.Seq, At: l.At}
		h, err := hex.DecodeString(l.Hash)
		if err != nil || copy(m.Hash[:], h) != len(m.Hash) {
			return core.JournalEntry{}, errors.New("a mark without a hash")
		}
		return core.JournalEntry{Mark: m}, nil
	}
	return core.JournalEntry{}, errors.New("a record of no known kind; a newer sallyport may have written it")
}

// checkSize is how many characters a check has.
const checkSize = 16

func checkOf(before string, text []byte) string {
	h := sha256.New()
	h.Write([]byte(before))
	h.Write(text)
	return hex.EncodeToString(h.Sum(nil)[:checkSize/2])
}

// appendLine adds a record to a chain that ends with the check before.
func appendLine(dst []byte, before string, v any) (out []byte, check string, err error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, "", err
	}
	check = checkOf(before, text)
	dst = append(append(dst, text...), ' ')
	return append(append(dst, check...), '\n'), check, nil
}

// split takes a line apart; ok is false when it has no check.
func split(raw []byte) (text []byte, check string, ok bool) {
	i := len(raw) - checkSize - 1
	if i < 1 || raw[i] != ' ' {
		return nil, "", false
	}
	return raw[:i], string(raw[i+1:]), true
}

// DamagedError says that a journal was changed or lost a part.
type DamagedError struct {
	Path string
	Line int
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("the facts journal %s is damaged at line %d: bring back a copy of it, or move it away and run `sallyport restore confirm --journal-lost`", e.Path, e.Line)
}

func parseHeader(path string, text []byte) (*header, error) {
	var h header
	dec := json.NewDecoder(bytes.NewReader(text))
	if err := dec.Decode(&h); err != nil || h.Journal != headerWord {
		return nil, fmt.Errorf("%s is no facts journal of sallyport", path)
	}
	if h.Format != headerFormat {
		return nil, fmt.Errorf("the facts journal %s has format %d, and this sallyport knows format %d: start a newer one", path, h.Format, headerFormat)
	}
	return &h, nil
}
