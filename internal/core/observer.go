package core

// Observer counts what happens; app gives one that feeds metrics. Its methods
// must not block.
type Observer interface {
	// Outcome of a grant: "login", "refresh", "renew", "request_token",
	// "application_token", "logout", "authenticate"; code is "" for success.
	Outcome(grant, mount string, code Code)
	// Alarm is something an operator must look at: a sealed value that does
	// not open, a store behind, a clock that jumped.
	Alarm(name, detail string)
}

// noObserver is the zero Observer.
type noObserver struct{}

func (noObserver) Outcome(string, string, Code) {}
func (noObserver) Alarm(string, string)         {}
