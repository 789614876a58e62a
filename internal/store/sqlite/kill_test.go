package sqlite

import (
	"context"
	"fmt"
	"os"
	"testing"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/store/storetest"
)

// killEnv makes the test binary a process that loads the store it names.
const killEnv = "SALLYPORT_TEST_LOAD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(fullEnv); dir != "" {
		if err := fillTheDisk(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if order := os.Getenv(migrateEnv); order != "" {
		if err := migrateAndDie(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if dir := os.Getenv(killEnv); dir != "" {
		if err := loadUntilKilled(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func loadUntilKilled(dir string) error {
	s, err := Open(context.Background(), Config{Dir: dir, Create: true, Now: testClock})
	if err != nil {
		return err
	}
	return storetest.Load(context.Background(), s, core.NewID(""), 16, os.Stdout)
}
