//go:build !unix

package attack_test

import "time"

// cpuTime is unknown here.
func cpuTime() time.Duration { return 0 }
