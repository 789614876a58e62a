package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"time"

	"github.com/sallyport/sallyport/internal/store/pgtest"
	"github.com/sallyport/sallyport/test/clients"
	"github.com/sallyport/sallyport/test/faults/cluster"
	"github.com/sallyport/sallyport/test/faults/history"
	"github.com/sallyport/sallyport/test/faults/world"
)

// diskFull is the scenario: the disk below the store fills up, more than once.
type diskFull struct {
	*trial
	cycles, mib, revocations int
	store                    string

	disk   *disk
	pg     *pgtest.Server // nil with SQLite
	world  *world.World
	crew   *clients.Crew
	target *target
	done   []diskFigure

	crashes int // of PostgreSQL, that it did not mend itself
}

// diskFigure is one time that the disk was full.
type diskFigure struct {
	FilledMiB  float64 `json:"filled_mib"`
	Writes     int     `json:"writes"`       // rotations tried while it was full
	Written    int     `json:"written"`      // of these, found room
	Verified   int     `json:"verified"`     // calls answered that a token is good
	Asked      int     `json:"asked"`        // all of these calls
	Revoked    int     `json:"revoked"`      // sessions ended while it was full
	Wanted     int     `json:"to_revoke"`    // sessions that were to be ended
	Ready      bool    `json:"ready"`        // what /readyz said while it was full
	RecoveredS float64 `json:"recovered_s"`  // until a rotation worked, after room was made
	LeftKiB    int64   `json:"room_left_kb"` // after the revocations
}

func diskFullFlags(fs *flag.FlagSet) func(context.Context, *trial) error {
	d := &diskFull{}
	fs.IntVar(&d.cycles, "cycles", 3, "how many times the disk fills")
	fs.IntVar(&d.mib, "size", 0, "of the disk, MiB; 0 = 48 with sqlite, 256 with postgres")
	fs.StringVar(&d.store, "store", "sqlite", "sqlite (the data directory is on the disk) or postgres (the database is)")
	fs.IntVar(&d.revocations, "revocations", 40, "sessions to end while it is full")
	return func(ctx context.Context, t *trial) error {
		d.trial = t
		return d.run(ctx)
	}
}

func (d *diskFull) run(ctx context.Context) (err error) {
	if err := d.build(ctx); err != nil {
		return err
	}
	mounts, err := writeChains(d.dir)
	if err != nil {
		return err
	}
	mounts = mounts[:len(mounts)-1] + `,"itempath","netography"]`
	stores, at, mode := []string{""}, filepath.Join(d.dir, "node1", "data"), "0700"
	if d.store == "postgres" {
		at, mode = filepath.Join(d.dir, "disk"), "0755"
	}
	if d.mib == 0 {
		d.mib = map[string]int{"sqlite": 48, "postgres": 256}[d.store]
	}
	if d.disk, err = mountDisk(at, d.mib, mode); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.disk.unmount()) }()
	if d.store == "postgres" {
		if d.pg, err = d.onDisk(ctx); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.pg.Close()) }() // before the disk goes
		if err := d.pg.Exec(ctx, "sallyport", `CREATE TABLE hog (text text)`); err != nil {
			return err
		}
		stores[0] = d.pg.DSN("sallyport")
	}
	if d.world, err = world.New(world.Options{Dir: d.dir, Binary: d.binary, Stores: stores, Args: []string{"--mounts", mounts}}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, d.world.Close()) }()
	d.say("starting a node with its store on a disk of %d MiB", d.mib)
	if err := d.world.Start(ctx); err != nil {
		return err
	}
	if err := d.populate(ctx); err != nil {
		return err
	}
	defer d.conclude()
	for n := 1; n <= d.cycles && ctx.Err() == nil; n++ {
		d.crew.Round = n
		if err := d.once(ctx); err != nil {
			return fmt.Errorf("cycle %d: %w", n, err)
		}
	}
	return errors.Join(d.restart(ctx), ctx.Err())
}

// onDisk runs PostgreSQL on the small disk, with little log of its own.
func (d *diskFull) onDisk(ctx context.Context) (*pgtest.Server, error) {
	return d.postgres(ctx, pgtest.Config{Parent: d.disk.path, Settings: map[string]string{
		"max_wal_size": "'48MB'", "min_wal_size": "'32MB'", "shared_buffers": "'32MB'",
	}})
}

func (d *diskFull) populate(ctx context.Context) (err error) {
	if d.crew, err = clients.NewCrew(ctx, 6, d.seed, d.progress); err != nil {
		return err
	}
	if err := d.crew.HireAll(d.api()); err != nil {
		return err
	}
	users, err := addUsers(ctx, d.world.Nodes[0].Admin(), d.crew.Hash, 8)
	if err != nil {
		return err
	}
	id, secret, err := d.world.OAuthClient(ctx)
	if err != nil {
		return err
	}
	d.target = newTarget(chains[0], d.world, users, [2]string{id, secret}, requestTimeout)
	return nil
}

func (d *diskFull) api() *clients.API {
	a := d.world.API(requestTimeout)
	a.Patience, a.Pause = patience, 10*time.Millisecond
	return a
}

// load lets the crew work for a while and compares.
func (d *diskFull) load(ctx context.Context, length time.Duration) {
	ctx, stop := context.WithTimeout(ctx, length)
	defer stop()
	d.crew.Load(ctx, d.api())
	d.crew.Check(d.api())
}

// once is one time that the disk is full.
func (d *diskFull) once(ctx context.Context) error {
	d.load(ctx, 2*time.Second)
	var live, doomed []history.Tokens
	for i := range d.revocations + 4 {
		t, ok := d.target.Login(ctx, 0)
		switch {
		case !ok:
			return errors.New("no login while there was room")
		case i < 4:
			live = append(live, t)
		default:
			doomed = append(doomed, t)
		}
	}
	f := diskFigure{Wanted: len(doomed)}
	if err := d.fillUp(ctx, &f, live); err != nil {
		return err
	}
	ended := d.whileFull(ctx, &f, live, doomed)
	f.LeftKiB = d.disk.free() / 1024
	if err := d.disk.empty(); err != nil {
		return err
	}
	freed := time.Now()
	if err := d.supervise(ctx); err != nil {
		return err
	}
	for time.Since(freed) < time.Minute && !d.refresh(ctx, &live[0]) {
		sleep(ctx, 20*time.Millisecond)
	}
	f.RecoveredS = time.Since(freed).Seconds()
	if f.RecoveredS > 59 {
		d.report.violate("cycle %d: no rotation worked within a minute after there was room again", d.crew.Round)
	}
	for _, t := range ended {
		d.refused(ctx, t, "after the disk had been full")
	}
	d.done = append(d.done, f)
	d.say("cycle %d/%d: %d of %d sessions ended on a full disk, writing again after %.2fs", d.crew.Round, d.cycles, f.Revoked, f.Wanted, f.RecoveredS)
	return nil
}

// supervise starts PostgreSQL again if the full disk ended it, as what watches
// over it would.
func (d *diskFull) supervise(ctx context.Context) error {
	if d.pg == nil || len(cluster.Server(filepath.Join(d.pg.Dir, "data"))) > 0 {
		return nil
	}
	d.say("PostgreSQL ended on the full disk; starting it again")
	d.crashes++
	if err := d.pg.Stop(pgtest.Immediate); err != nil {
		return err
	}
	return d.pg.Start(ctx)
}

// fillUp fills the disk until no rotation finds room: pages of the log that
// were used before may take some.
func (d *diskFull) fillUp(ctx context.Context, f *diskFigure, live []history.Tokens) error {
	began := time.Now()
	for refused := 0; refused < 10; {
		n, err := d.disk.fill()
		if err != nil {
			return err
		}
		f.FilledMiB += float64(n) / (1 << 20)
		f.Writes++
		ok := d.refresh(ctx, &live[0])
		if d.pg != nil {
			// Rows that are overwritten in place and recycled log find room for
			// long: what has to find new room is tried as well.
			_ = d.pg.Exec(ctx, "sallyport", `INSERT INTO hog SELECT repeat(md5(n::text), 30) FROM generate_series(1, 20000) AS n`) // it has to fail
			_, login := d.target.Login(ctx, 0)
			ok = ok && login
		}
		if ok {
			f.Written++
			refused = 0
		} else {
			refused++
		}
		if time.Since(began) > time.Minute || ctx.Err() != nil {
			return errors.Join(errors.New("rotations go on although the disk was filled for a minute"), ctx.Err())
		}
	}
	return nil
}

// whileFull is what must go on: verifying and revoking. What must not: writing
// anything else. It gives the sessions that were acknowledged as ended.
func (d *diskFull) whileFull(ctx context.Context, f *diskFigure, live, doomed []history.Tokens) (ended []history.Tokens) {
	f.Ready, _ = d.world.Ready(ctx, 0)
	for i, t := range doomed {
		f.Asked++
		if d.target.Introspect(ctx, 0, live[i%len(live)].Access) == history.Active {
			f.Verified++
		}
		if v := d.target.Revoke(ctx, 0, t.Session); v == history.Done {
			f.Revoked++
			ended = append(ended, t)
			d.refused(ctx, t, "on a full disk")
		}
		f.Writes++
		f.Written += count(d.refresh(ctx, &live[i%len(live)]))
	}
	if d.pg != nil && len(cluster.Server(filepath.Join(d.pg.Dir, "data"))) == 0 {
		return ended // it found no room for its log and stopped, and all that with it
	}
	if f.Verified < f.Asked {
		d.report.violate("cycle %d: on a full disk %d of %d tokens of live sessions were not called good", d.crew.Round, f.Asked-f.Verified, f.Asked)
	}
	if f.Revoked < f.Wanted {
		d.report.violate("cycle %d: on a full disk %d of %d sessions could not be ended", d.crew.Round, f.Wanted-f.Revoked, f.Wanted)
	}
	return ended
}

// refresh a live session. A refusal is a violation; "not now" is not.
func (d *diskFull) refresh(ctx context.Context, t *history.Tokens) bool {
	got, v := d.target.Refresh(ctx, 0, t.Refresh)
	switch v {
	case history.Granted:
		*t = got
		return true
	case history.Refused:
		d.report.violate("cycle %d: the owner of a live session was refused", d.crew.Round)
	}
	return false
}

// refused demands that both tokens of an ended session are.
func (d *diskFull) refused(ctx context.Context, t history.Tokens, when string) {
	if d.target.Introspect(ctx, 0, t.Access) == history.Active {
		d.report.violate("cycle %d: the access token of an ended session was taken for good %s", d.crew.Round, when)
	}
	if _, v := d.target.Refresh(ctx, 0, t.Refresh); v == history.Granted {
		d.report.violate("cycle %d: the refresh token of an ended session was taken %s", d.crew.Round, when)
	}
}

// restart compares once more with a server that reads everything from the disk.
func (d *diskFull) restart(ctx context.Context) error {
	d.world.Nodes[0].Kill()
	if _, err := d.world.Nodes[0].Start(ctx); err != nil {
		return err
	}
	d.crew.Check(d.api())
	d.crew.CheckEnded(d.api())
	return d.crew.CheckAudit(d.api())
}

func (d *diskFull) conclude() {
	d.report.take(d.crew)
	for what, n := range d.target.strange {
		d.report.violate("%s, %d times", what, n)
	}
	if d.pg != nil {
		d.report.note("PostgreSQL ended %d times on the full disk and was started again when there was room", d.crashes)
	}
	d.report.Figures = d.done
	d.report.Head = []string{"", "filled MiB", "verified", "ended", "rotations that found room", "ready said", "left KiB", "writing again s"}
	for i, f := range d.done {
		d.report.Rows = append(d.report.Rows, []string{
			fmt.Sprint(i + 1), fmt.Sprintf("%.1f", f.FilledMiB), fmt.Sprintf("%d of %d", f.Verified, f.Asked), fmt.Sprintf("%d of %d", f.Revoked, f.Wanted),
			fmt.Sprintf("%d of %d", f.Written, f.Writes), fmt.Sprint(f.Ready), fmt.Sprint(f.LeftKiB), fmt.Sprintf("%.2f", f.RecoveredS),
		})
	}
}
