package verify

import (
	"bytes"
	"compress/zlib"
	"encoding/base64"
	"fmt"
	"testing"
	"time"
)

// FuzzParseStatusList: a list that is read stays within its bound, and every
// place of it has a value that its bits can hold.
func FuzzParseStatusList(f *testing.F) {
	pack := func(b []byte) string {
		var z bytes.Buffer
		w := zlib.NewWriter(&z)
		if _, err := w.Write(b); err != nil {
			f.Fatal(err)
		}
		if err := w.Close(); err != nil {
			f.Fatal(err)
		}
		return base64.RawURLEncoding.EncodeToString(z.Bytes())
	}
	for _, bits := range []int{0, 1, 2, 3, 4, 8} {
		f.Add(fmt.Appendf(nil, `{"sub":"https://a.example/s/1","iss":"https://a.example","iat":1700000000,"exp":1700000060,"ttl":2,"status_list":{"bits":%d,"lst":%q}}`, bits, pack([]byte{1, 2, 0xff})))
	}
	f.Add(fmt.Appendf(nil, `{"iat":1,"status_list":{"bits":1,"lst":%q}}`, pack(make([]byte, 1<<20)))) // grows a thousandfold
	f.Add([]byte(`{"iat":1e99,"ttl":-1,"status_list":{"bits":1,"lst":"eNo="}}`))
	f.Add([]byte(`{"iat":1,"ttl":1e300,"status_list":{"bits":1,"lst":"eNoDAAAAAAE"}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		const bound = 4096
		d, err := parseStatusList(payload, bound)
		if err != nil {
			return
		}
		if len(d.bytes) > bound || d.issuedAt <= 0 || d.expires < 0 || d.ttl < 0 || d.ttl > time.Duration(1<<31)*time.Second {
			t.Fatalf("%s is read as %+v", payload, d)
		}
		for i := range d.size() {
			if v := d.at(i); uint(v) >= 1<<d.bits {
				t.Fatalf("place %d of %s holds %d", i, payload, v)
			}
		}
	})
}
