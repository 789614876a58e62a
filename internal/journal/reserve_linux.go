package journal

import "golang.org/x/sys/unix"

// Space set aside behind the end, so that a full disk does not stop the
// journal at once, wherever it lies.
const (
	reserveStep  = 256 << 10
	reserveLeast = 64 << 10
)

// setAside keeps space behind the end. Not every file system can.
func (j *Journal) setAside(end int64) {
	if j.reserve-end > reserveLeast {
		return
	}
	if unix.Fallocate(int(j.file.Fd()), unix.FALLOC_FL_KEEP_SIZE, end, reserveStep) == nil {
		j.reserve = end + reserveStep
	}
}
