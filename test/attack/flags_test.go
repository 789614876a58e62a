package attack_test

import "flag"

var (
	inputs = flag.Int("inputs", 50_000, "about how many hostile requests TestHostileTokens sends")
	seed   = flag.Uint64("seed", 1, "where its choices start")
	only   = flag.String("only", "", "only the mutators whose name holds this")
)
