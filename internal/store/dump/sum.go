package dump

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/bits"
)

// Sum is how many rows a table has and the sum of their SHA-256, modulo 2^256:
// the same in whatever order they come.
type Sum struct {
	Rows int64
	sum  [4]uint64 // the least significant first
}

func (s *Sum) add(row []byte) {
	h := sha256.Sum256(row)
	var carry uint64
	for i := range s.sum {
		s.sum[i], carry = bits.Add64(s.sum[i], binary.LittleEndian.Uint64(h[8*i:]), carry)
	}
	s.Rows++
}

// String is the sum in hexadecimal, without the number of rows.
func (s Sum) String() string {
	var b [32]byte
	for i, v := range s.sum {
		binary.LittleEndian.PutUint64(b[8*i:], v)
	}
	return hex.EncodeToString(b[:])
}

// Tags of values in a row.
const (
	tagNull = iota
	tagInt
	tagText
	tagBytes
	tagFalse
	tagTrue
)

// appendRow encodes a row that was checked.
func appendRow(dst []byte, row []any) []byte {
	for _, v := range row {
		switch v := v.(type) {
		case nil:
			dst = append(dst, tagNull)
		case int64:
			dst = binary.AppendVarint(append(dst, tagInt), v)
		case string:
			dst = binary.AppendUvarint(append(dst, tagText), uint64(len(v)))
			dst = append(dst, v...)
		case []byte:
			dst = binary.AppendUvarint(append(dst, tagBytes), uint64(len(v)))
			dst = append(dst, v...)
		case bool:
			if v {
				dst = append(dst, tagTrue)
			} else {
				dst = append(dst, tagFalse)
			}
		}
	}
	return dst
}

var errRow = errors.New("a row is damaged")

// readRow decodes n values; bytes are copies.
func readRow(b []byte, n int) (row []any, rest []byte, err error) {
	row = make([]any, n)
	for i := range row {
		if len(b) == 0 {
			return nil, nil, errRow
		}
		tag := b[0]
		b = b[1:]
		switch tag {
		case tagNull:
		case tagFalse, tagTrue:
			row[i] = tag == tagTrue
		case tagInt:
			v, used := binary.Varint(b)
			if used <= 0 {
				return nil, nil, errRow
			}
			row[i], b = v, b[used:]
		case tagText, tagBytes:
			size, used := binary.Uvarint(b)
			if used <= 0 || size > uint64(len(b)-used) {
				return nil, nil, errRow
			}
			part := b[used : used+int(size)] // #nosec G115 -- at most len(b)
			b = b[used+int(size):]           // #nosec G115
			if tag == tagText {
				row[i] = string(part)
			} else {
				row[i] = append([]byte{}, part...)
			}
		default:
			return nil, nil, fmt.Errorf("%w: unknown tag %d", errRow, tag)
		}
	}
	return row, b, nil
}
