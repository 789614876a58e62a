package httpd

import (
	"net/http"
	"strings"
)

// h2Malformed says what is wrong with the target of an HTTP/2 request, "" for
// nothing. net/http refuses an odd Host of HTTP/1 itself, but hands on whatever
// :authority and :path hold: an authority that another program would read as
// host and path, or a :path that names a host of its own, which RFC 9113
// section 8.3.1 calls malformed.
func h2Malformed(r *http.Request) string {
	if r.ProtoMajor < 2 {
		return ""
	}
	for i := range len(r.Host) {
		if c := r.Host[i]; !isAlnum(c) && strings.IndexByte("-._~!$%&'()*+,;=:[]", c) < 0 {
			return "the :authority of the request is no host"
		}
	}
	asterisk := r.Method == http.MethodOptions && r.RequestURI == "*"
	if r.Method != http.MethodConnect && !asterisk && !strings.HasPrefix(r.RequestURI, "/") {
		return "the :path of the request does not begin with a slash"
	}
	return ""
}
