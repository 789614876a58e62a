package sqlite

import "strconv"

// The writer's page cache, in KiB. It fills as pages are used, so a small store
// takes what it has, and no more. At ten million sessions the leaves that a
// refresh reads are most of what is in it, and a page from elsewhere costs a
// system call, a copy, and the room of another.
const (
	cacheLeast = 16 << 10
	cacheMost  = 256 << 10
	// cacheShare is the part of the memory that it may take at most.
	cacheShare = 64
)

// cacheSize is the writer's cache in KiB on a machine, or in a container, that
// has so many bytes of memory; 0 when that is not known.
func cacheSize(memory uint64) int {
	return int(min(max(memory/cacheShare>>10, cacheLeast), cacheMost)) // #nosec G115 -- bounded
}

func cachePragma(kib int) pragma {
	value := strconv.Itoa(-kib)
	return pragma{"cache_size", value, value}
}
