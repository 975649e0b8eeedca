package main

import (
	"testing"
	"time"

	"github.com/sapa-crm/sapa/sandbox"
)

// TestWork has sapa work send what sapa run has left when its run was paused.
func TestWork(t *testing.T) {
	t.Parallel()
	const n = 600
	w := newShop(t, n, "", sandbox.Rule{Name: "slow", Delay: 10 * time.Millisecond})
	run := w.start("run", "hello")
	w.sending(run, 10)
	w.ok("pause", "1")
	run.stop()
	run.wait()
	work := w.start("work")
	w.until("it has registered", func() bool { return w.number(`select count(*) from sapa.workers where stopped_at is null`) == 1 })
	w.want(exitUsage, "sapa: --private 0.0.0.0:1: passwords would cross the network in the clear\n"+
		"  give --private-tls-cert and --private-tls-key, or --behind-proxy where a proxy in front has TLS, or stay on 127.0.0.1\n", "work", "--private", "0.0.0.0:1")
	w.ok("resume", "1")
	w.until("the run is done", func() bool { return w.status(1).State == "done" })
	w.everybodyOnce(n)
	work.stop()
	if code, printed := work.wait(); code != exitOK || printed != "sending; no private listener; stop with Ctrl-C\n" {
		t.Errorf("work ends with %d:\n%s", code, printed)
	}
	if n := w.number(`select count(*) from sapa.workers where stopped_at is null`); n != 0 {
		t.Errorf("%d workers have not signed off", n)
	}
}
