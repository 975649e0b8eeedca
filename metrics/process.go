package metrics

import (
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/response"
)

// desc describes a metric that is read when it is asked for.
func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("sapa_"+name, help, labels, nil)
}

// reading is a collector that reads everything at once.
type reading struct {
	describes []*prometheus.Desc
	read      func(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string))
}

func (r *reading) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range r.describes {
		ch <- d
	}
}

func (r *reading) Collect(ch chan<- prometheus.Metric) {
	r.read(func(d *prometheus.Desc, t prometheus.ValueType, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, t, value, labels...)
	})
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// Engine adds what health says of this process's engine.
func (m *Metrics) Engine(health func() delivery.Health) {
	working := desc("working", "1 while this process's engine works; 0 before it has begun and once it was told to stop.")
	beat := desc("heartbeat_age_seconds", "Since this process's last successful heartbeat. It hands nothing over when that is older than sapa_heartbeat_permit_seconds.")
	permit := desc("heartbeat_permit_seconds", "How old a heartbeat may be for anything to be handed over.")
	foreign := desc("database_foreign", "1 when the database is not the one that Sapa's tables were made in: nothing is sent until sapa adopt.")
	limit := desc("rate_limit", "Messages a second that this process may hand over; 0 without a limit.", "channel")
	connections := desc("sessions_max", "How many sessions this process may have with the provider.", "channel")
	idle := desc("sessions_idle", "Sessions that are kept open without work.", "channel")
	broken := desc("breaker_open", "1 while the provider is left alone because it could not be used.", "channel")
	trips := desc("breaker_trips", "How often in a row the breaker has opened; 0 when the provider works.", "channel")
	fallback := desc("fallback_used", "1 while messages go by the channel's second account, since the first can't be used.", "channel")
	pools := newPools()
	m.registry.MustRegister(&reading{
		append(pools.all(), working, beat, permit, foreign, limit, connections, idle, broken, trips, fallback),
		func(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
			h := health()
			send(working, prometheus.GaugeValue, truth(h.Working))
			send(foreign, prometheus.GaugeValue, truth(h.Foreign))
			send(permit, prometheus.GaugeValue, h.Permit.Seconds())
			if h.Worker != 0 {
				send(beat, prometheus.GaugeValue, h.Beat.Seconds())
			}
			for _, c := range h.Channels {
				send(limit, prometheus.GaugeValue, c.Rate, c.Name)
				send(connections, prometheus.GaugeValue, float64(c.Connections), c.Name)
				send(idle, prometheus.GaugeValue, float64(c.Idle), c.Name)
				send(broken, prometheus.GaugeValue, truth(c.Broken), c.Name)
				send(trips, prometheus.GaugeValue, float64(c.Trips), c.Name)
				send(fallback, prometheus.GaugeValue, truth(c.Fallback), c.Name)
			}
			for name, stat := range h.Pools {
				pools.send(send, name, stat)
			}
		},
	})
	for _, c := range health().Channels {
		m.begin(c.Name)
	}
}

// begin shows a channel's counters from the start: rates of what appears later miss its first event.
func (m *Metrics) begin(channel string) {
	m.claimed.WithLabelValues(channel)
	m.handed.WithLabelValues(channel)
	m.answered.WithLabelValues(channel)
	for _, result := range []string{"opened", "refused", "unavailable"} {
		m.opened.WithLabelValues(channel, result)
	}
	for _, v := range verdicts {
		m.attempts.WithLabelValues(channel, v.String())
	}
}

// pools describe connections to the database.
type pools struct{ connections, max, acquires, waited, waits *prometheus.Desc }

func newPools() pools {
	return pools{
		desc("db_connections", "Connections to the database, by what this process does with them.", "pool", "state"),
		desc("db_connections_max", "How many connections the pool may have.", "pool"),
		desc("db_acquires_total", "Connections that were taken from the pool.", "pool"),
		desc("db_acquire_seconds_total", "How long was waited for them, in all.", "pool"),
		desc("db_acquires_waited_total", "Those of them that none was free for.", "pool"),
	}
}

func (p pools) all() []*prometheus.Desc {
	return []*prometheus.Desc{p.connections, p.max, p.acquires, p.waited, p.waits}
}

func (p pools) send(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string), name string, s *pgxpool.Stat) {
	send(p.connections, prometheus.GaugeValue, float64(s.AcquiredConns()), name, "used")
	send(p.connections, prometheus.GaugeValue, float64(s.IdleConns()), name, "idle")
	send(p.connections, prometheus.GaugeValue, float64(s.ConstructingConns()), name, "opening")
	send(p.max, prometheus.GaugeValue, float64(s.MaxConns()), name)
	send(p.acquires, prometheus.CounterValue, float64(s.AcquireCount()), name)
	send(p.waited, prometheus.CounterValue, s.AcquireDuration().Seconds(), name)
	send(p.waits, prometheus.CounterValue, float64(s.EmptyAcquireCount()), name)
}

// Hits adds what the recorder of opens and clicks has done.
func (m *Metrics) Hits(stats func() response.Stats) {
	hits := desc("hits_total", "Requests for pixels, links and pages: recorded; late (answered before they were durable, and counted again when they were); lost; and unknown, of messages that no run has.", "result")
	commits := desc("hit_commits_total", "Transactions that the recorded hits took.")
	m.registry.MustRegister(&reading{
		[]*prometheus.Desc{hits, commits},
		func(send func(*prometheus.Desc, prometheus.ValueType, float64, ...string)) {
			s := stats()
			for result, n := range map[string]int64{"recorded": s.Recorded, "late": s.Late, "lost": s.Dropped, "unknown": s.Unknown} {
				send(hits, prometheus.CounterValue, float64(n), result)
			}
			send(commits, prometheus.CounterValue, float64(s.Commits))
		},
	})
}
