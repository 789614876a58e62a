package cluster

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/sallyport/sallyport/test/sut"
)

// Options of a cluster.
type Options struct {
	Dir     string // takes everything; must exist
	Members int    // PostgreSQL servers; two at least
	Strict  bool   // synchronous_mode_strict: without a standby nothing is written
	TTL     time.Duration
}

// Cluster is PostgreSQL under Patroni.
type Cluster struct {
	Options
	Members []*Member
	Address string // of the primary, whichever it is: HAProxy

	password string
	tools    tools
	as       *account
	etcd     *daemon
	balancer *Balancer
	guard    *guard
	http     *http.Client
}

// Member is one PostgreSQL server and the Patroni that looks after it.
type Member struct {
	Name     string
	Postgres string // host:port
	REST     string // host:port of Patroni
	dir      string
	patroni  *daemon
}

// Start makes a cluster and waits until it has a primary with a synchronous
// standby. Close ends it.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	c := &Cluster{Options: o, password: rand.Text(), http: &http.Client{Timeout: 2 * time.Second}}
	var err error
	if c.tools, err = findTools(); err != nil {
		return nil, err
	}
	if c.as, err = unprivileged(); err != nil {
		return nil, err
	}
	ports, err := sut.FreePorts(3 + 2*o.Members)
	if err != nil {
		return nil, err
	}
	if err := c.own(o.Dir); err != nil {
		return nil, err
	}
	if c.guard, err = newGuard(o.Dir); err != nil {
		return nil, err
	}
	if err := c.launch(ctx, ports); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

func (c *Cluster) launch(ctx context.Context, ports []string) error {
	client, peer := "http://"+ports[0], "http://"+ports[1]
	c.Address = ports[2]
	c.etcd = &daemon{name: "etcd", dir: c.Dir, as: c.as, path: c.tools.etcd, args: []string{
		"--name", "one", "--data-dir", filepath.Join(c.Dir, "etcd"), "--logger", "zap", "--log-level", "warn",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "one=" + peer,
		"--unsafe-no-fsync",
	}}
	if strings.HasPrefix(etcdVersion(ctx, c.tools.etcd), "3.4.") {
		c.etcd.args = c.etcd.args[:len(c.etcd.args)-1] // 3.5 brought the flag
	}
	if err := c.etcd.start(); err != nil {
		return err
	}
	if err := awaitPort(ctx, ports[0], c.etcd); err != nil {
		return err
	}
	listen := Listen{Address: c.Address, Mode: "tcp", Health: "/primary"}
	for i := range c.Options.Members {
		m := &Member{Name: fmt.Sprintf("m%d", i+1), Postgres: ports[3+2*i], REST: ports[4+2*i]}
		m.dir = filepath.Join(c.Dir, m.Name)
		if err := c.prepare(m, ports[0]); err != nil {
			return err
		}
		if err := m.patroni.start(); err != nil {
			return err
		}
		c.Members = append(c.Members, m)
		listen.Servers = append(listen.Servers, Backend{Name: m.Name, Address: m.Postgres, Check: m.REST})
	}
	var err error
	if c.balancer, err = NewBalancer(ctx, c.Dir, listen); err != nil {
		return err
	}
	return c.AwaitHealthy(ctx)
}

func etcdVersion(ctx context.Context, path string) string {
	out, err := exec.CommandContext(ctx, path, "--version").Output()
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(out), "\n")
	return strings.TrimSpace(strings.TrimPrefix(first, "etcd Version:"))
}

func (c *Cluster) own(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("making a folder of the cluster: %w", err)
	}
	if c.as == nil {
		return nil
	}
	if err := os.Chown(dir, c.as.uid, c.as.gid); err != nil {
		return fmt.Errorf("giving a folder of the cluster to its user: %w", err)
	}
	return nil
}

// prepare writes a member's configuration.
func (c *Cluster) prepare(m *Member, etcd string) error {
	if err := c.own(m.dir); err != nil {
		return err
	}
	conf := filepath.Join(m.dir, "patroni.yml")
	if err := os.WriteFile(conf, []byte(c.patroniConfig(m, etcd)), 0o644); err != nil {
		return fmt.Errorf("configuring Patroni: %w", err)
	}
	m.patroni = &daemon{name: "patroni", dir: m.dir, as: c.as, path: c.tools.patroni, args: []string{conf}}
	return nil
}

// patroniConfig is a plain Patroni: synchronous, with pg_rewind for members
// that come back, failing over at once when PostgreSQL has crashed.
func (c *Cluster) patroniConfig(m *Member, etcd string) string {
	ttl := int(c.TTL.Seconds())
	return fmt.Sprintf(`scope: sallyport
name: %[1]s
restapi: {listen: "%[2]s", connect_address: "%[2]s"}
etcd3: {hosts: ["%[3]s"]}
bootstrap:
  dcs:
    ttl: %[4]d
    loop_wait: 1
    retry_timeout: %[5]d
    primary_start_timeout: 0
    maximum_lag_on_failover: 1048576
    synchronous_mode: true
    synchronous_mode_strict: %[6]t
    postgresql:
      use_pg_rewind: true
      use_slots: true
      parameters:
        max_connections: 150
        shared_buffers: 64MB
        wal_level: replica
        hot_standby: "on"
        max_wal_senders: 10
        max_replication_slots: 10
        wal_keep_size: 256MB
        max_wal_size: 512MB
        log_min_messages: warning
  initdb:
    - encoding: UTF8
    - locale: C.UTF-8
    - data-checksums
postgresql:
  listen: "%[7]s"
  connect_address: "%[7]s"
  data_dir: %[8]s/data
  bin_dir: %[9]s
  pgpass: %[8]s/pgpass
  authentication:
    superuser: {username: postgres, password: %[10]s}
    replication: {username: replicator, password: %[10]s}
    rewind: {username: rewinder, password: %[10]s}
  parameters: {unix_socket_directories: %[8]s}
  pg_hba:
    - local all all scram-sha-256
    - host all all 127.0.0.1/32 scram-sha-256
    - host replication replicator 127.0.0.1/32 scram-sha-256
`, m.Name, m.REST, etcd, ttl, max(1, (ttl-1)/2-1), c.Strict, m.Postgres, m.dir, c.tools.postgres, c.password)
}

// DSN is the address of a database of the primary through HAProxy, as a URL
// with the password in it.
func (c *Cluster) DSN(database string) string { return c.dsn(c.Address, database) }

func (c *Cluster) dsn(address, database string) string {
	u := url.URL{Scheme: "postgres", User: url.UserPassword("postgres", c.password), Host: address, Path: "/" + database, RawQuery: "sslmode=disable"}
	return u.String()
}

// Password of the superuser.
func (c *Cluster) Password() string { return c.password }

// state is what Patroni says of the whole cluster.
type state struct {
	Members []struct {
		Name     string `json:"name"`
		Role     string `json:"role"`
		State    string `json:"state"`
		Timeline int    `json:"timeline"`
	} `json:"members"`
}

// look asks any Patroni that answers.
func (c *Cluster) look(ctx context.Context) (s state, err error) {
	err = errors.New("no Patroni answers")
	for _, m := range c.Members {
		var req *http.Request
		if req, err = http.NewRequestWithContext(ctx, http.MethodGet, "http://"+m.REST+"/cluster", nil); err != nil {
			return s, err
		}
		var res *http.Response
		if res, err = c.http.Do(req); err != nil {
			continue
		}
		err = json.NewDecoder(res.Body).Decode(&s)
		_ = res.Body.Close() // it was read
		if err == nil {
			return s, nil
		}
	}
	return s, err
}

// Primary is the member that leads now.
func (c *Cluster) Primary(ctx context.Context) (*Member, error) {
	s, err := c.look(ctx)
	if err != nil {
		return nil, err
	}
	for _, one := range s.Members {
		if one.Role != "leader" {
			continue
		}
		for _, m := range c.Members {
			if m.Name == one.Name {
				return m, nil
			}
		}
	}
	return nil, errors.New("there is no primary now")
}

// AwaitHealthy waits until all members run, one leads, and one of the others
// is its synchronous standby.
func (c *Cluster) AwaitHealthy(ctx context.Context) error {
	for {
		s, err := c.look(ctx)
		if err == nil && c.healthy(&s) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("the cluster is not healthy: %w; last seen: %+v, %v\n%s", context.Cause(ctx), s, err, c.tails())
		case <-time.After(200 * time.Millisecond):
		}
	}
}

func (c *Cluster) healthy(s *state) bool {
	var leaders, standbys, running, timeline int
	for _, m := range s.Members {
		switch m.Role {
		case "leader":
			leaders++
			timeline = m.Timeline
		case "sync_standby":
			standbys++
		}
	}
	for _, m := range s.Members {
		if (m.State == "running" || m.State == "streaming") && m.Timeline == timeline {
			running++
		}
	}
	return leaders == 1 && standbys >= 1 && running == c.Options.Members
}

func (c *Cluster) tails() string {
	var b strings.Builder
	for _, m := range c.Members {
		fmt.Fprintf(&b, "-- %s\n%s", m.Name, m.patroni.tail())
	}
	return b.String()
}

// Victim says what of a member is killed.
type Victim string

// The victims. Both is what a power cut leaves; Postgres is a crash that
// Patroni sees at once; Patroni alone leaves a primary that nobody looks after
// and that has to be kept from its clients.
const (
	Both     Victim = "both"
	Postgres Victim = "postgres"
	Patroni  Victim = "patroni"
)

// Kill ends what a member is made of, by SIGKILL.
func (c *Cluster) Kill(m *Member, v Victim) {
	var pids []int
	if v != Patroni {
		pids = Server(filepath.Join(m.dir, "data"))
	}
	if v != Postgres {
		// First, or it would see PostgreSQL die and release its lock. Its
		// children are PostgreSQL's when it started it: those are not its to lose.
		m.patroni.end(syscall.SIGKILL, time.Second)
	}
	KillAll(pids)
}

// Heal starts the Patroni of a member again if it does not run; Patroni does
// the rest.
func (c *Cluster) Heal(m *Member) error {
	select {
	case <-m.patroni.done:
		return m.patroni.start()
	default:
		return nil
	}
}

// Close ends everything; the folder stays.
func (c *Cluster) Close() error {
	if c.balancer != nil {
		c.balancer.Close()
	}
	for _, m := range c.Members {
		m.patroni.end(syscall.SIGKILL, time.Second)
		KillAll(Server(filepath.Join(m.dir, "data")))
	}
	if c.etcd != nil {
		c.etcd.end(syscall.SIGTERM, 5*time.Second)
	}
	return c.guard.dismiss()
}
