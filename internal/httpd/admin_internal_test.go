package httpd

import "testing"

// TestAllowUID stands in for processes of other users, which a test cannot be.
func TestAllowUID(t *testing.T) {
	for _, tc := range []struct {
		uid, self int
		ok        bool
	}{{1000, 1000, true}, {0, 1000, true}, {1001, 1000, false}, {1000, 0, false}, {0, 0, true}, {65534, 1000, false}} {
		if err := allowUID(tc.uid, tc.self); (err == nil) != tc.ok {
			t.Errorf("peer %d at server %d: %v", tc.uid, tc.self, err)
		}
	}
}
