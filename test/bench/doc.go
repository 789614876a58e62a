// Command bench measures the server beside its floors: what the same machine
// gives, in the same run, to the least program that does the same work.
//
//	go run ./test/bench [-quick] [-d 3s] [-n 16] [-runs 3] [-only names] [-json]
//
// It builds the static binary and two floors (floor: bare cryptography and a
// bare store behind net/http; empty: nothing behind net/http), starts them as
// processes, and drives them with a closed-loop generator that shares their
// cores: every client sends its next request when the last is answered, over
// one kept connection. An answer counts when status and content are right;
// clients that refresh follow their own chain of tokens, so a server that
// answered without rotating would be found out.
//
// Each figure is the median of the runs. The runs of a group are interleaved,
// floor, ours, floor, ours, because machines drift by a fifth within the hour;
// so ratios are worth more than figures.
//
// The groups: refresh, login, flood (refreshes beside a flood of logins),
// verify (one token, in this process), gateway, start, memory.
//
//	go run ./test/bench scale [-store sqlite|postgres] [-sessions N] [-users N]
//
// fills stores with many sessions and measures what their number changes:
// rotation, purging, size, start, memory (scale.go).
package main
