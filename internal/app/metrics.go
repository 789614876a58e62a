package app

import (
	"net/http"
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sallyport/sallyport/internal/core"
	"github.com/sallyport/sallyport/internal/httpd"
	"github.com/sallyport/sallyport/internal/journal"
	"github.com/sallyport/sallyport/internal/password"
	"github.com/sallyport/sallyport/internal/store/postgres"
)

// metrics counts what happens, in a registry of its own. It is the Observer of
// core and keyring.
type metrics struct {
	registry *prometheus.Registry
	outcomes *prometheus.CounterVec
	alarms   *prometheus.CounterVec
	requests *prometheus.HistogramVec
}

var _ core.Observer = (*metrics)(nil)

func newMetrics(version string) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		outcomes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_outcomes_total",
			Help: "Requests by grant, mount and outcome; code is empty for success. unavailable: the store did not answer, or the client left before it did.",
		}, []string{"grant", "mount", "code"}),
		alarms: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "sallyport_alarms_total", Help: "Things an operator must look at, by name.",
		}, []string{"name"}),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sallyport_http_request_duration_seconds", Help: "Duration of HTTP requests by route and status.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 10},
		}, []string{"route", "status"}),
	}
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sallyport_build_info", Help: "1, with the version.", ConstLabels: prometheus.Labels{"version": version},
	})
	build.Set(1)
	m.registry.MustRegister(m.outcomes, m.alarms, m.requests, build,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// Outcome implements core.Observer.
func (m *metrics) Outcome(grant, mount string, code core.Code) {
	m.outcomes.WithLabelValues(grant, mount, string(code)).Inc()
}

// Alarm implements core.Observer.
func (m *metrics) Alarm(name, _ string) { m.alarms.WithLabelValues(name).Inc() }

// observe takes a finished request. Requests without a named route share one
// label: a stranger must not be able to make series.
func (m *metrics) observe(o httpd.Observation) {
	route := o.Route
	if route == "" {
		route = "other"
	}
	m.requests.WithLabelValues(route, strconv.Itoa(o.Status)).Observe(o.Duration.Seconds())
}

// watch adds gauges of store and hasher, read when asked.
func (m *metrics) watch(store core.Store, hasher *password.Hasher) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("sallyport_store_queue", "Steps waiting for the writer.", func() float64 { return float64(store.Stats().Queue) })
	gauge("sallyport_store_steps", "Steps committed since start.", func() float64 { return float64(store.Stats().Steps) })
	gauge("sallyport_store_batches", "Commits since start.", func() float64 { return float64(store.Stats().Batches) })
	gauge("sallyport_store_size_bytes", "Size of the database file.", func() float64 { return float64(store.Stats().SizeBytes) })
	gauge("sallyport_store_wal_bytes", "Size of the write-ahead log.", func() float64 { return float64(store.Stats().WALBytes) })
	gauge("sallyport_store_writable", "1 while the last write worked and the ballast is there, else 0.", func() float64 {
		if store.WriteFault() != nil {
			return 0
		}
		return 1
	})
	gauge("sallyport_store_ballast_bytes", "Room kept back for revocations on a full disk; 0 when it was given up, or there is none.", func() float64 { return float64(store.Stats().Ballast) })
	gauge("sallyport_hash_slots", "Password hashes that may run at once.", func() float64 { return float64(hasher.Stats().Slots) })
	gauge("sallyport_hash_slots_in_use", "Password hashes running.", func() float64 { return float64(hasher.Stats().InUse) })
	gauge("sallyport_hash_queue", "Logins waiting for a slot.", func() float64 {
		s := hasher.Stats()
		return float64(s.QueuedKnown + s.QueuedShared)
	})
	gauge("sallyport_hash_refused", "Logins turned away since start because the queue was full.", func() float64 { return float64(hasher.Stats().Refused) })
	gauge("sallyport_hash_compared", "Passwords compared with a stored hash since start; the others cost the same and are compared with nothing.", func() float64 { return float64(hasher.Stats().Compared) })
	gauge("sallyport_hash_seconds", "How long the last hash took.", func() float64 { return hasher.Stats().LastDuration.Seconds() })
}

// watchJournal adds gauges of the facts journal.
func (m *metrics) watchJournal(j *journal.Journal, service *core.Service) {
	gauge := func(name, help string, f func() float64) {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	gauge("sallyport_facts_journal_bytes", "Size of the facts journal.", func() float64 { return float64(j.Size()) })
	gauge("sallyport_facts_journal_writable", "1 while the last write to the facts journal worked, else 0.", func() float64 {
		if service.JournalFault() != nil {
			return 0
		}
		return 1
	})
}

// watchNodes adds gauges of the nodes that share a store.
func (m *metrics) watchNodes(pg *postgres.Store) {
	m.registry.MustRegister(
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_nodes", Help: "Nodes that served the store lately, this one included."},
			func() float64 { return float64(len(pg.Peers())) }),
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "sallyport_store_notified", Help: "1 while other nodes' news arrives by NOTIFY, 0 while it is polled for."},
			func() float64 {
				if pg.Listening() {
					return 1
				}
				return 0
			}))
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
