package client

import (
	"context"
	"time"
)

// SetEnv replaces clock, waiting and chance.
func SetEnv(o *Options, now func() time.Time, sleep func(context.Context, time.Duration) error, random func() float64) {
	o.env = env{now: now, sleep: sleep, random: random}
}
