package postgres

import (
	"encoding/binary"
	"fmt"
	"io"

	"github.com/sallyport/sallyport/internal/store/dump"
)

// copying gives rows in the binary form of COPY: what is text in a dump is
// text in our tables, every number a bigint, and bytes are bytes.
type copying struct {
	table *dump.Table
	rows  [][]any
	buf   []byte // not yet read
	mem   []byte // that buf is cut from
	state int
}

const (
	copyHead = iota
	copyRows
	copyEnd
)

// copySignature begins the binary form; no flags and no extension follow.
const copySignature = "PGCOPY\n\xff\r\n\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// copyBuffer is about how much is encoded at a time.
const copyBuffer = 64 << 10

// Read implements io.Reader.
func (c *copying) Read(p []byte) (int, error) {
	if len(c.buf) == 0 {
		if err := c.more(); err != nil {
			return 0, err
		}
	}
	n := copy(p, c.buf)
	c.buf = c.buf[n:]
	return n, nil
}

func (c *copying) more() error {
	b := c.mem[:0]
	switch c.state {
	case copyHead:
		b, c.state = append(b, copySignature...), copyRows
	case copyEnd:
		return io.EOF
	}
	for len(c.rows) > 0 && len(b) < copyBuffer {
		var err error
		if b, err = c.appendRow(b, c.rows[0]); err != nil {
			return err
		}
		c.rows = c.rows[1:]
	}
	if len(c.rows) == 0 {
		b, c.state = append(b, 0xff, 0xff), copyEnd
	}
	c.buf, c.mem = b, b
	return nil
}

func (c *copying) appendRow(b []byte, row []any) ([]byte, error) {
	b = binary.BigEndian.AppendUint16(b, uint16(len(row)))
	for i, v := range row {
		switch v := v.(type) {
		case nil:
			b = append(b, 0xff, 0xff, 0xff, 0xff)
		case int64:
			b = binary.BigEndian.AppendUint64(append(b, 0, 0, 0, 8), uint64(v)) // #nosec G115 -- two's complement, as the server reads it
		case bool:
			b = append(b, 0, 0, 0, 1, 0)
			if v {
				b[len(b)-1] = 1
			}
		case string:
			v = cleanText(v)
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...) // #nosec G115 -- a row is far below 4 GB
		case []byte:
			if isUUID(c.table.Name, c.table.Columns[i].Name) && len(v) != 16 {
				return nil, fmt.Errorf("%s.%s is not 16 bytes long", c.table.Name, c.table.Columns[i].Name)
			}
			b = append(binary.BigEndian.AppendUint32(b, uint32(len(v))), v...) // #nosec G115 -- as above
		default:
			return nil, fmt.Errorf("%s.%s is %T", c.table.Name, c.table.Columns[i].Name, v)
		}
	}
	return b, nil
}
