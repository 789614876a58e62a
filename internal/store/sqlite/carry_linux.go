package sqlite

import (
	"os"

	"golang.org/x/sys/unix"
)

// syncSlices is into how many parts a file is cut to be synced.
const syncSlices = 128

// syncInSlices has the changed pages of a file written to the disk, part after
// part. The log of the writer waits for the disk behind one part, where behind
// a plain fsync it waits for the whole file. It promises nothing: SQLite syncs
// before the log begins anew, and finds little left to do.
func syncInSlices(f *os.File) error {
	info, err := f.Stat()
	if err != nil {
		return err
	}
	const all = unix.SYNC_FILE_RANGE_WAIT_BEFORE | unix.SYNC_FILE_RANGE_WRITE | unix.SYNC_FILE_RANGE_WAIT_AFTER
	part := info.Size()/syncSlices + 1
	for at := int64(0); at < info.Size(); at += part {
		if unix.SyncFileRange(int(f.Fd()), at, part, all) != nil {
			return f.Sync() // not every file system knows parts
		}
	}
	return nil
}
