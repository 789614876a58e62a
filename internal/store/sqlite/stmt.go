package sqlite

import (
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"unsafe"

	lib "modernc.org/sqlite/lib"
)

// pointer is the size of one, in bytes.
const pointer = int(unsafe.Sizeof(uintptr(0)))

// memory gives n bytes of SQLite's, which Go's collector neither moves nor
// frees.
func memory(p uintptr, n int) []byte {
	return unsafe.Slice(*(**byte)(unsafe.Pointer(&p)), n)
}

// pointerAt reads a pointer that SQLite wrote.
func pointerAt(p uintptr) uintptr {
	return **(**uintptr)(unsafe.Pointer(&p))
}

// textAt reads a text that ends with a zero byte.
func textAt(p uintptr) string {
	n := 0
	for memory(p, n+1)[n] != 0 {
		n++
	}
	return string(memory(p, n))
}

// sqliteError is what SQLite refused something with.
type sqliteError struct {
	code int32 // the extended one
	text string
}

func (e *sqliteError) Error() string { return fmt.Sprintf("%s (%d)", e.text, e.code) }

// Code is the extended result code.
func (e *sqliteError) Code() int { return int(e.code) }

// fault is the error of a result code, or nil.
func (c *conn) fault(rc int32) error {
	if rc == lib.SQLITE_OK {
		return nil
	}
	text := textAt(lib.Xsqlite3_errstr(c.tls, rc))
	if c.db != 0 {
		if more := textAt(lib.Xsqlite3_errmsg(c.tls, c.db)); more != text {
			text += ": " + more
		}
	}
	return &sqliteError{rc, text}
}

var errMemory = &sqliteError{lib.SQLITE_NOMEM, "out of memory"}

// copied puts a text into memory of SQLite's, to be freed by the caller.
func (c *conn) copied(text string) (uintptr, error) {
	p := lib.Xsqlite3_malloc64(c.tls, uint64(len(text)))
	if p == 0 {
		return 0, errMemory
	}
	copy(memory(p, len(text)), text)
	return p, nil
}

// stmt is a prepared statement. Between start and reset it is under way.
type stmt struct {
	*conn
	p       uintptr // a sqlite3_stmt*
	params  int
	columns int
	busy    bool
	// The texts and blobs of the parameters lie one after the other in memory
	// of the statement's own, which SQLite reads while it steps.
	room uintptr
	size int
}

// prepare compiles one statement.
func (c *conn) prepare(query string) (*stmt, error) {
	text, err := c.copied(query + "\x00")
	if err != nil {
		return nil, err
	}
	defer lib.Xsqlite3_free(c.tls, text)
	out := c.tls.Alloc(pointer)
	defer c.tls.Free(pointer)
	if err := c.fault(lib.Xsqlite3_prepare_v3(c.tls, c.db, text, -1, lib.SQLITE_PREPARE_PERSISTENT, out, 0)); err != nil {
		return nil, err
	}
	p := pointerAt(out)
	return &stmt{
		conn: c, p: p,
		params:  int(lib.Xsqlite3_bind_parameter_count(c.tls, p)),
		columns: int(lib.Xsqlite3_column_count(c.tls, p)),
	}, nil
}

func (s *stmt) free() {
	lib.Xsqlite3_finalize(s.tls, s.p) // repeats the error of the last execution
	lib.Xsqlite3_free(s.tls, s.room)
}

// start binds the parameters. What a query has none for is ignored.
func (s *stmt) start(args []any) error {
	if s.busy {
		return errors.New("a statement was run again before it had ended")
	}
	if len(args) < s.params {
		return fmt.Errorf("a statement with %d parameters got %d", s.params, len(args))
	}
	args = args[:s.params]
	if err := s.makeRoom(args); err != nil {
		return err
	}
	used := 0
	for i, arg := range args {
		if err := s.bind(int32(i+1), arg, &used); err != nil {
			return err
		}
	}
	s.busy = true
	s.running++
	return nil
}

// makeRoom sees to it that the texts and blobs have room.
func (s *stmt) makeRoom(args []any) error {
	need := 1 // so that no blob, however short, is at no address: that is NULL
	for _, arg := range args {
		need += length(arg)
	}
	if need <= s.size {
		return nil
	}
	lib.Xsqlite3_free(s.tls, s.room)
	s.room, s.size = lib.Xsqlite3_malloc64(s.tls, uint64(need)), need
	if s.room == 0 {
		s.size = 0
		return errMemory
	}
	return nil
}

// length is how much room a parameter takes.
func length(arg any) int {
	switch v := arg.(type) {
	case string:
		return len(v)
	case *string:
		return len(*v)
	case []byte:
		return len(v)
	case int64, *int64, int, bool, nil:
		return 0
	}
	if plain, err := driver.DefaultParameterConverter.ConvertValue(arg); err == nil {
		switch v := plain.(type) {
		case string:
			return len(v)
		case []byte:
			return len(v)
		}
	}
	return 0
}

// bind sets a parameter. Pointers stand for what they point to, and spare a
// copy on the heap.
func (s *stmt) bind(i int32, arg any, used *int) error {
	switch v := arg.(type) {
	case int64:
		return s.fault(lib.Xsqlite3_bind_int64(s.tls, s.p, i, v))
	case *int64:
		return s.fault(lib.Xsqlite3_bind_int64(s.tls, s.p, i, *v))
	case int:
		return s.fault(lib.Xsqlite3_bind_int64(s.tls, s.p, i, int64(v)))
	case string:
		return s.bindText(i, v, used)
	case *string:
		return s.bindText(i, *v, used)
	case []byte:
		if v == nil {
			return s.fault(lib.Xsqlite3_bind_null(s.tls, s.p, i))
		}
		p := s.room + uintptr(*used)
		*used += copy(memory(p, len(v)), v)
		return s.fault(lib.Xsqlite3_bind_blob(s.tls, s.p, i, p, int32(len(v)), 0))
	case bool:
		return s.bind(i, flag(v), used)
	case nil:
		return s.fault(lib.Xsqlite3_bind_null(s.tls, s.p, i))
	}
	plain, err := driver.DefaultParameterConverter.ConvertValue(arg)
	if err != nil {
		return err
	}
	switch v := plain.(type) { // of what is called otherwise
	case int64, bool, string, []byte, nil:
		return s.bind(i, v, used)
	}
	return fmt.Errorf("a parameter is %T", arg)
}

func (s *stmt) bindText(i int32, text string, used *int) error {
	p := s.room + uintptr(*used)
	*used += copy(memory(p, len(text)), text)
	return s.fault(lib.Xsqlite3_bind_text(s.tls, s.p, i, p, int32(len(text)), 0))
}

// step says whether there is a row.
func (s *stmt) step() (bool, error) {
	switch rc := lib.Xsqlite3_step(s.tls, s.p); rc {
	case lib.SQLITE_ROW:
		return true, nil
	case lib.SQLITE_DONE:
		return false, nil
	default:
		return false, s.fault(rc)
	}
}

// keptRoom is how much memory for parameters a statement keeps for its next run.
const keptRoom = 64 << 10

// reset ends a run. Its error is err's when that is nil; after a step that
// failed SQLite only repeats itself.
func (s *stmt) reset(err *error) {
	s.busy = false
	s.running--
	if rerr := s.fault(lib.Xsqlite3_reset(s.tls, s.p)); *err == nil {
		*err = rerr
	}
	if s.size > keptRoom {
		lib.Xsqlite3_free(s.tls, s.room) // what was bound there is bound anew
		s.room, s.size = 0, 0
	}
}

// Scan reads the columns of the row that the statement stands on. A NULL goes
// only where there is room for one; a number into a text, not the reverse.
func (s *stmt) Scan(dest ...any) error {
	if len(dest) != s.columns {
		return fmt.Errorf("a row of %d columns is read into %d", s.columns, len(dest))
	}
	all := 0
	for i, d := range dest {
		if _, ok := d.(*string); ok {
			all += int(lib.Xsqlite3_column_bytes(s.tls, s.p, int32(i)))
		}
	}
	texts := make([]byte, 0, all) // one allocation for all of them
	for i, d := range dest {
		if err := s.column(int32(i), d, &texts); err != nil {
			return fmt.Errorf("column %d: %w", i, err)
		}
	}
	return nil
}

func (s *stmt) column(i int32, dest any, texts *[]byte) error {
	is := lib.Xsqlite3_column_type(s.tls, s.p, i)
	switch d := dest.(type) {
	case *string:
		if is == lib.SQLITE_NULL {
			return errors.New("it is NULL, and a text is wanted")
		}
		from := len(*texts)
		*texts = append(*texts, s.bytes(i)...)
		*d = view((*texts)[from:])
	case *[]byte:
		*d = append([]byte(nil), s.bytes(i)...)
	case fixed:
		if b := s.bytes(i); is != lib.SQLITE_BLOB || !d.take(b) {
			return d.damaged()
		}
	case sql.Scanner:
		return d.Scan(s.value(i, is))
	default:
		if is != lib.SQLITE_INTEGER {
			return fmt.Errorf("it is no number, and %T is wanted", dest)
		}
		return number(lib.Xsqlite3_column_int64(s.tls, s.p, i), dest)
	}
	return nil
}

func number(n int64, dest any) error {
	switch d := dest.(type) {
	case *int64:
		*d = n
	case *int:
		*d = int(n)
	case *bool:
		if n != 0 && n != 1 {
			return fmt.Errorf("it is %d, and true or false is wanted", n)
		}
		*d = n == 1
	default:
		return fmt.Errorf("it cannot be read into %T", dest)
	}
	return nil
}

// value is a column for a Scanner.
func (s *stmt) value(i, is int32) any {
	switch is {
	case lib.SQLITE_INTEGER:
		return lib.Xsqlite3_column_int64(s.tls, s.p, i)
	case lib.SQLITE_FLOAT:
		return lib.Xsqlite3_column_double(s.tls, s.p, i)
	case lib.SQLITE_TEXT:
		return string(s.bytes(i))
	case lib.SQLITE_BLOB:
		return append([]byte(nil), s.bytes(i)...)
	}
	return nil
}

// bytes are a column's text or blob until the next step; none for NULL.
func (s *stmt) bytes(i int32) []byte {
	p := lib.Xsqlite3_column_blob(s.tls, s.p, i)
	n := lib.Xsqlite3_column_bytes(s.tls, s.p, i)
	if p == 0 || n == 0 {
		return nil
	}
	return memory(p, int(n))
}

// view is a text over bytes that nobody changes any more.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
