package core

import "testing"

// TestLostDisabling: a fact that did more than end sessions is not taken for
// added again because its subject logged out later, which he can do at will.
func TestLostDisabling(t *testing.T) {
	disabled := Fact{Number: 100, Kind: FactUser, Subject: "u1", Reason: ReasonDisabled, At: 1, PurgeAt: 1 << 60}
	logout := Fact{Kind: FactUser, Subject: "u1", Reason: "logout", At: 2, PurgeAt: 1 << 60}
	has := []Fact{logout, logout}
	has[0].Number, has[1].Number = 100, 101
	if lost, _ := compareLogs([]Fact{disabled}, has, 101, 3); len(lost) != 1 || lost[0] != disabled {
		t.Errorf("lost: %+v", lost)
	}
	// Added again by a node that knew of it.
	has[1] = disabled
	has[1].Number, has[1].At = 10_101, 3
	if lost, _ := compareLogs([]Fact{disabled}, has, 10_101, 3); len(lost) != 0 {
		t.Errorf("lost once more: %+v", lost)
	}
}
