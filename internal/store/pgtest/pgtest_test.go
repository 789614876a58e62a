package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// childEnv makes the test binary a process that starts a server and waits.
const childEnv = "SALLYPORT_TEST_PGTEST"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) == "" {
		os.Exit(m.Run())
	}
	s, err := Run(context.Background(), Config{})
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println(s.Dir)
	select {}
}

func TestDatabases(t *testing.T) {
	s := Start(t)
	one, two := s.NewDatabase(t), s.NewDatabase(t)
	if one == two || Start(t) != s {
		t.Fatal("databases or servers are not told apart")
	}
	c, err := pgx.Connect(t.Context(), strings.Replace(one, s.Password, "wrong", 1))
	if err == nil {
		_ = c.Close(t.Context())
		t.Fatal("a wrong password was let in")
	}
	c, err = pgx.Connect(t.Context(), s.SocketDSN("postgres"))
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func TestStopAndStart(t *testing.T) {
	Start(t) // skips where there is none
	s, err := Run(t.Context(), Config{Settings: map[string]string{"max_connections": "17"}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Stat(s.Dir); !os.IsNotExist(err) {
			t.Errorf("the directory is still there: %v", err)
		}
	}()
	if err := s.Exec(t.Context(), "postgres", `CREATE TABLE t (n int)`); err != nil {
		t.Fatal(err)
	}
	for _, how := range []Mode{Immediate, Fast} {
		if err := s.Stop(how); err != nil {
			t.Fatal(err)
		}
		if s.Running() || s.Exec(t.Context(), "postgres", `INSERT INTO t VALUES (1)`) == nil {
			t.Fatal("it still answers")
		}
		if err := s.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := s.Exec(t.Context(), "postgres", `INSERT INTO t VALUES (1)`); err != nil {
			t.Fatal(err)
		}
	}
}

// TestNothingIsLeftBehind: a process that is killed leaves neither a server
// nor a directory.
func TestNothingIsLeftBehind(t *testing.T) {
	Start(t)
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"=1")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	dir, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	dir = strings.TrimSpace(dir)
	if _, err := os.Stat(dir); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // it was killed
	for range 600 {
		if _, err := os.Stat(dir); os.IsNotExist(err) {
			return
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Errorf("%s is still there", dir)
}

// TestStandby: what the primary had answered is on its synchronous standby
// when the primary dies.
func TestStandby(t *testing.T) {
	Start(t) // skips where there is none
	primary, err := Run(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = primary.Close() }()
	standby, err := primary.Standby(t.Context(), "", "one")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = standby.Close() }()
	if err := primary.Configure(map[string]string{"synchronous_standby_names": "'one'"}); err != nil {
		t.Fatal(err)
	}
	if err := primary.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	if err := primary.AwaitSync(ctx); err != nil {
		t.Fatal(err)
	}
	if err := primary.Exec(ctx, "postgres", `CREATE TABLE t AS SELECT 1`); err != nil {
		t.Fatal(err)
	}
	if err := primary.Stop(Immediate); err != nil {
		t.Fatal(err)
	}
	if err := standby.Exec(ctx, "postgres", `SELECT pg_promote()`); err != nil {
		t.Fatal(err)
	}
	if err := standby.Exec(ctx, "postgres", `INSERT INTO t VALUES (2)`); err != nil {
		t.Errorf("the promoted standby: %v", err)
	}
}
