// Package history records what clients saw of sessions over several nodes and
// checks whether one session that does one thing at a time could have answered
// so: linearizability, by porcupine.
//
// How the pieces move: Run sets actors upon a Target. A few of them share each
// session, so that they present the same refresh token at once, present
// ancestors, revoke, and ask at every node what an access token is worth. Each
// call goes down with the times of its beginning and end, what was presented,
// and what came back; Check partitions by session and asks porcupine, which
// tries to find an order of the calls, within their times, that the model
// allows (model.go says what it allows, and the bound on stale reads).
//
// A call without an answer, and a 503, may have happened or not, now or until
// the servers' own deadline has passed; the model allows both.
//
// That the checker can tell is tested: against a model of the servers with
// bugs planted one at a time (fake_test.go), against doctored histories, and
// against servers built with real bugs (../planted).
package history
