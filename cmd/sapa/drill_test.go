package main

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/sapa-crm/sapa/delivery"
	"github.com/sapa-crm/sapa/internal/pg"
)

// smallDrill is a drill that takes seconds: leases are a tenth of the real ones.
func smallDrill(t *testing.T, o drillOptions) (drillResult, error) {
	t.Helper()
	dir := t.TempDir()
	o.dir, o.json = filepath.Join(dir, "drill"), filepath.Join(dir, "drill.json")
	o.lease = delivery.Lease{Heartbeat: 500 * time.Millisecond, Permit: 2 * time.Second, Silence: 3 * time.Second}
	env := func(name string) string { return map[string]string{"XDG_DATA_HOME": dir, "HOME": dir}[name] }
	if os.Geteuid() == 0 {
		env = func(string) string { return "" } // PostgreSQL's account can't enter the test's folder
	}
	cluster, err := pg.DefaultDir(o.dir, env)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(cluster); err != nil {
			t.Error(err)
		}
	})
	var out bytes.Buffer
	a := newApp(env, strings.NewReader(""), &out, io.Discard)
	a.dir = dir
	err = runDrill(t.Context(), a, o)
	t.Log(out.String())
	text, readErr := os.ReadFile(o.json)
	if readErr != nil {
		t.Fatal(readErr, err)
	}
	var r drillResult
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return r, err
}

// Processes are killed and stopped, PostgreSQL crashes, connections are cut: nothing is lost and nothing is sent twice.
func TestDrill(t *testing.T) {
	t.Parallel()
	r, err := smallDrill(t, drillOptions{
		messages: 6000, workers: 3, connections: 4, rate: 400, seed: 1, misbehave: "4xx=3%,5xx=1%,drop-before=0.2%,drop-after=0.2%,delay=20ms/1%",
	})
	if err != nil {
		t.Error(err)
	}
	if r.Audience != 6000 || r.Accepted+r.Failed != 6000 || r.Kills == 0 || r.Stops == 0 || r.Crashes != 1 || r.Cut == 0 || r.Unknown == 0 || r.Takeover < 3 {
		t.Errorf("not much of a drill: %+v", r)
	}
}

// A drill is only worth what it finds: planted mistakes make it fail.
func TestDrillFindsPlantedFaults(t *testing.T) {
	t.Parallel()
	for fault, found := range map[delivery.Fault]func(drillResult) bool{
		delivery.FaultEarlyRecord: func(r drillResult) bool { return r.Lost > 0 },
		delivery.FaultLostClaim:   func(r drillResult) bool { return r.Duplicates > 0 },
		delivery.FaultLateWindow:  func(r drillResult) bool { return r.Duplicates > 0 },
	} {
		t.Run(string(fault), func(t *testing.T) {
			t.Parallel()
			// Whether a process is killed just when the fault matters is chance: of several drills one must find it.
			for seed := uint64(1); ; seed++ {
				r, err := smallDrill(t, drillOptions{
					messages: 1000, workers: 2, connections: 4, rate: 300, seed: seed, misbehave: "4xx=3%,drop-before=0.5%", fault: string(fault),
				})
				if err != nil && strings.Contains(err.Error(), "the drill failed: ") && found(r) {
					return
				}
				if seed == 8 {
					t.Fatalf("no drill found it: %v, %+v", err, r)
				}
			}
		})
	}
}
