// Package metrics shows Prometheus what a process does and where the ledger stands.
//
//	sapa_attempts_total{channel="email",verdict="accepted"} 48211     what this process did, since it began
//	sapa_ledger_messages{state="unknown"} 3                           what the database says: the same from every process
//
// Labels are channels, states, verdicts and routes: words of Sapa's own, a few of each. There is no campaign, customer,
// address, account or token among them. docs/operating.md lists all, and what to be warned of.
package metrics

import (
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
)

// Metrics counts for one process. It is safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry

	claimed  *prometheus.CounterVec
	opened   *prometheus.CounterVec
	attempts *prometheus.CounterVec
	handed   *prometheus.CounterVec
	answered *prometheus.HistogramVec
	requests *prometheus.CounterVec
	took     *prometheus.HistogramVec
}

var _ delivery.Meter = (*Metrics)(nil)

// New makes the metrics of this process, with those of the Go runtime. version is the program's.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		claimed:  counter("claimed_messages_total", "Messages claimed, to be handed over next.", "channel"),
		opened:   counter("sessions_opened_total", "Sessions with a provider that were opened, or could not be.", "channel", "result"),
		attempts: counter("attempts_total", "Verdicts of providers on messages. Those that are unavailable were not handed over, and are planned again.", "channel", "verdict"),
		handed:   counter("handed_over_total", "Messages handed over to a provider. Its rate is to be held against sapa_rate_limit.", "channel"),
		answered: histogram("answer_seconds", "From the hand-over of a message to the provider's answer.", answerBuckets, "channel"),
		requests: counter("http_requests_total", "Requests to a listener.", "listener", "route", "status"),
		took:     histogram("http_request_seconds", "How long requests to a listener took.", prometheus.DefBuckets, "listener"),
	}
	info := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "sapa_build_info", Help: "Always 1; the program's version.", ConstLabels: prometheus.Labels{"version": version},
	})
	info.Set(1)
	m.registry.MustRegister(info, m.claimed, m.opened, m.attempts, m.handed, m.answered, m.requests, m.took,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// answerBuckets reach from a server next door to one that is given up.
var answerBuckets = []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60, 300}

func counter(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: "sapa_" + name, Help: help}, labels)
}

func histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "sapa_" + name, Help: help, Buckets: buckets}, labels)
}

// Handler answers Prometheus.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// Claimed counts for delivery.Meter.
func (m *Metrics) Claimed(channel string, messages int) {
	m.claimed.WithLabelValues(channel).Add(float64(messages))
}

// Opened counts for delivery.Meter.
func (m *Metrics) Opened(channel string, err error) {
	result := "opened"
	switch channels.VerdictOf(err) {
	case channels.VerdictAccepted:
	case channels.VerdictPermanent:
		result = "refused"
	default:
		result = "unavailable"
	}
	m.opened.WithLabelValues(channel, result).Inc()
}

// Attempted counts for delivery.Meter.
func (m *Metrics) Attempted(channel string, verdict channels.Verdict, answered time.Duration) {
	m.attempts.WithLabelValues(channel, verdict.String()).Inc()
	if answered == 0 {
		return
	}
	m.handed.WithLabelValues(channel).Inc()
	if verdict != channels.VerdictUnknown {
		m.answered.WithLabelValues(channel).Observe(answered.Seconds())
	}
}

// Requests returns what a listener, "public" or "private", is to call for each request that it has answered. route must be
// one of few: a pattern, not a path.
func (m *Metrics) Requests(listener string) func(route string, status int, took time.Duration) {
	return func(route string, status int, took time.Duration) {
		m.requests.WithLabelValues(listener, route, class(status)).Inc()
		m.took.WithLabelValues(listener).Observe(took.Seconds())
	}
}

// class is the class of a status, such as 4xx.
func class(status int) string {
	if status < 100 || status > 599 {
		return "none"
	}
	return string(rune('0'+status/100)) + "xx"
}
