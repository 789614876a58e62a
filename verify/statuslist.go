package verify

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"
)

// statusData is a status list as of one moment. It does not change; another takes its place.
type statusData struct {
	subject, issuer   string
	issuedAt, expires int64 // Unix seconds; expires is 0 where the list does not say
	ttl               time.Duration
	bits              uint
	bytes             []byte
}

// size is how many places the list has.
func (d *statusData) size() int64 { return int64(len(d.bytes)) * int64(8/d.bits) }

// at is the value of a place that the list has. Places fill a byte from its least significant bit.
func (d *statusData) at(idx int64) byte {
	each := int64(8 / d.bits)
	return d.bytes[idx/each] >> (uint(idx%each) * d.bits) & (1<<d.bits - 1) // #nosec G115 -- under 8
}

// over reports that the list's exp has passed.
func (d *statusData) over(now time.Time, leeway time.Duration) bool {
	return d.expires != 0 && now.Unix() >= d.expires+int64(leeway/time.Second)
}

// parseStatusList reads the payload of a list whose signature was verified. maxBytes bounds what it unpacks to: a few
// kilobytes can grow to gigabytes.
func parseStatusList(payload []byte, maxBytes int) (*statusData, error) {
	var p struct {
		Subject  string      `json:"sub"`
		Issuer   string      `json:"iss"`
		IssuedAt json.Number `json:"iat"`
		Expires  json.Number `json:"exp"`
		TTL      json.Number `json:"ttl"`
		List     struct {
			Bits uint   `json:"bits"`
			List string `json:"lst"`
		} `json:"status_list"`
	}
	if err := json.Unmarshal(payload, &p); err != nil {
		return nil, fmt.Errorf("payload: %w", err)
	}
	d := &statusData{subject: p.Subject, issuer: p.Issuer, bits: p.List.Bits}
	switch d.bits {
	case 1, 2, 4, 8:
	default:
		return nil, fmt.Errorf("bits is %d, not 1, 2, 4 or 8", d.bits)
	}
	for _, n := range []struct {
		name string
		from json.Number
		to   *int64
		need bool
	}{{"iat", p.IssuedAt, &d.issuedAt, true}, {"exp", p.Expires, &d.expires, false}} {
		if n.from == "" && !n.need {
			continue
		}
		v, err := n.from.Int64()
		if err != nil || v <= 0 || v > mostListLifetime {
			return nil, fmt.Errorf("%s is missing or no time", n.name)
		}
		*n.to = v
	}
	if p.TTL != "" {
		seconds, err := p.TTL.Float64()
		if err != nil || !(seconds > 0) || seconds > math.MaxInt32 {
			return nil, errors.New("ttl is no positive number")
		}
		d.ttl = time.Duration(seconds * float64(time.Second))
	}
	var err error
	d.bytes, err = inflate(p.List.List, maxBytes)
	return d, err
}

// inflate unpacks lst: base64url without padding of a zlib stream.
func inflate(lst string, maxBytes int) ([]byte, error) {
	packed, err := base64.RawURLEncoding.Strict().DecodeString(lst)
	if err != nil {
		return nil, errors.New("lst is not base64url")
	}
	z, err := zlib.NewReader(bytes.NewReader(packed))
	if err != nil {
		return nil, fmt.Errorf("lst: %w", err)
	}
	out, err := io.ReadAll(io.LimitReader(z, int64(maxBytes)+1))
	if err != nil {
		return nil, fmt.Errorf("lst: %w", err)
	}
	if len(out) > maxBytes {
		return nil, fmt.Errorf("lst unpacks to more than MaxBytes (%d): raise it", maxBytes)
	}
	return out, nil
}
