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
	return drillIn(t, drillFolder(t), o)
}

// drillFolder is a folder for drills, one after the other; each uses the PostgreSQL of the one before.
func drillFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	cluster, err := pg.DefaultDir(filepath.Join(dir, "drill"), drillTestEnv(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(cluster); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func drillTestEnv(dir string) func(name string) string {
	if os.Geteuid() == 0 {
		return func(string) string { return "" } // PostgreSQL's account can't enter the test's folder
	}
	return func(name string) string { return map[string]string{"XDG_DATA_HOME": dir, "HOME": dir}[name] }
}

func drillIn(t *testing.T, dir string, o drillOptions) (drillResult, error) {
	t.Helper()
	o.dir, o.json = filepath.Join(dir, "drill"), filepath.Join(dir, "drill.json")
	if o.channels == nil {
		o.channels = []string{"email"}
	}
	if err := os.RemoveAll(o.json); err != nil { // of the drill before
		t.Fatal(err)
	}
	o.lease = delivery.Lease{Heartbeat: 500 * time.Millisecond, Permit: 2 * time.Second, Silence: 3 * time.Second}
	var out bytes.Buffer
	a := newApp(drillTestEnv(dir), strings.NewReader(""), &out, io.Discard)
	a.dir = dir
	err := runDrill(t.Context(), a, o)
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

// textWaits are short enough for a test.
func textWaits() delivery.Waits {
	return delivery.Waits{
		Again:  []time.Duration{100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond, time.Second, 2 * time.Second, 5 * time.Second},
		LookUp: []time.Duration{500 * time.Millisecond}, LookUpEvery: time.Second, LookUpPause: time.Millisecond,
	}
}

// Processes are killed while Twilio accepts texts and WhatsApp messages without saying so, and its reports come late, twice,
// in the wrong order or never: nobody gets one twice, and what is unknown is settled by reports, look-ups and a person.
// Then planted mistakes make the same drill fail.
func TestDrillOfTexts(t *testing.T) {
	t.Parallel()
	dir := drillFolder(t)
	o := drillOptions{
		channels: []string{"whatsapp", "sms"}, messages: 1000, workers: 2, connections: 4, rate: 250, seed: 1, waits: textWaits(), harms: 4,
		misbehave: "sms-429=2%,sms-21610=1%,sms-502=0.3%,sms-500-after=1%,sms-timeout-after=0.3%,sms-drop-before=0.5%,sms-drop-after=1%," +
			"callbacks-late=10%,callbacks-twice=10%,callbacks-reversed=10%,callbacks-never=30%",
	}
	r, err := drillIn(t, dir, o)
	if err != nil {
		t.Error(err)
	}
	if r.Audience != 1000 || r.Accepted+r.Failed != 1000 || r.Kills == 0 || r.Cut == 0 || r.ByReport == 0 || r.ByLookUp == 0 || r.ByHand == 0 {
		t.Errorf("not much of a drill: %+v", r)
	}
	o.messages, o.rate, o.harms, o.misbehave = 200, 0, 1, "sms-21610=2%,sms-500-after=3%,sms-drop-after=3%,callbacks-never=100%"
	for fault, found := range map[delivery.Fault]func(drillResult) bool{
		delivery.FaultEarlyRecord: func(r drillResult) bool { return r.Lost > 0 },
		delivery.FaultSecondTry:   func(r drillResult) bool { return r.Duplicates > 0 },
	} {
		o.fault = string(fault)
		if r, err := drillIn(t, dir, o); err == nil || !strings.Contains(err.Error(), "the drill failed: ") || !found(r) {
			t.Errorf("%s was not found: %v, %+v", fault, err, r)
		}
	}
}
