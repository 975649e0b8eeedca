package sandbox

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestTheReplyWaitsForTheDisk(t *testing.T) {
	t.Parallel()
	disk := &faultyDisk{folder: folder{t.TempDir()}}
	s := start(t, Config{files: disk})
	gate, syncing := make(chan struct{}), make(chan struct{}, 1)
	disk.set(func(d *faultyDisk) { d.gate, d.syncing = gate, syncing })

	replied := make(chan error, 1)
	go func() { replied <- send(s, "a@bengkel.example", "b@surel.example", mailText("t", "Halo", "isi\r\n")) }()
	<-syncing
	select {
	case err := <-replied:
		t.Errorf("replied (%v) before the sync ended", err)
	case <-time.After(100 * time.Millisecond):
	}
	if n := s.Counts().Accepted; n != 0 {
		t.Errorf("%d mails are listed before the sync ended", n)
	}
	disk.set(func(d *faultyDisk) { d.gate = nil })
	close(gate)
	if err := <-replied; err != nil {
		t.Error(err)
	}
	if n := s.Counts().Accepted; n != 1 {
		t.Errorf("%d mails, want 1", n)
	}
}

func TestWhatTheDiskRefusesIsRefused(t *testing.T) {
	t.Parallel()
	full := errors.New("no space left on device")
	for name, fault := range map[string]func(*faultyDisk){
		"write fails":                       func(d *faultyDisk) { d.write = full },
		"half of a write":                   func(d *faultyDisk) { d.write, d.half = full, true },
		"sync fails":                        func(d *faultyDisk) { d.syncFault = full },
		"sync fails, can't be taken back":   func(d *faultyDisk) { d.syncFault, d.truncate = full, full },
		"half a write, can't be taken back": func(d *faultyDisk) { d.write, d.half, d.truncate = full, true, full },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			disk := &faultyDisk{folder: folder{t.TempDir()}}
			s := start(t, Config{files: disk})
			mustSend(t, s, "a@surel.example", mailText("before", "Sebelum", "isi\r\n"))
			disk.set(fault)
			for _, to := range []string{"b@surel.example", "b+bounce@surel.example"} {
				err := send(s, "halo@bengkel.example", to, mailText("during", "Selama", "isi\r\n"))
				if replyCode(err) != 452 {
					t.Errorf("%s: got %v, want 452", to, err)
				}
			}
			wantSubjects(t, s, "Sebelum")
			disk.set(func(d *faultyDisk) { d.write, d.syncFault, d.truncate = nil, nil, nil })
			s = restart(t, s, disk)
			wantSubjects(t, s, "Sebelum")
			disk.set(fault)
			_ = send(s, "halo@bengkel.example", "b@surel.example", mailText("during", "Selama", "isi\r\n"))
			disk.set(func(d *faultyDisk) { d.write, d.syncFault, d.truncate = nil, nil, nil })
			mustSend(t, s, "c@surel.example", mailText("after", "Sesudah", "isi\r\n"))
			wantSubjects(t, restart(t, s, disk), "Sesudah", "Sebelum")
		})
	}
}

func restart(t *testing.T, s *Server, disk *faultyDisk) *Server {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return start(t, Config{files: disk})
}

func wantSubjects(t *testing.T, s *Server, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, subjects(s.Messages(Filter{Which: All}, Page{}))); diff != "" {
		t.Error(diff)
	}
}

func TestConnectionsShareASync(t *testing.T) {
	t.Parallel()
	disk := &faultyDisk{folder: folder{t.TempDir()}}
	s, err := openStore(disk, Config{}.withDefaults().limits, Config{}.withDefaults().Log)
	if err != nil {
		t.Fatal(err)
	}
	gate, syncing := make(chan struct{}), make(chan struct{}, 100)
	disk.set(func(d *faultyDisk) { d.gate, d.syncing = gate, syncing })
	var writers sync.WaitGroup
	add := func(n int) {
		writers.Go(func() {
			m := Message{Subject: fmt.Sprint(n)}
			if err := s.journal.append(sealRecord(nil, &m, nil)); err != nil {
				t.Error(err)
			}
		})
	}
	add(0)
	<-syncing // the first is on its way alone
	for n := range 50 {
		add(n + 1)
	}
	for s.journal.queued() < 50 {
		time.Sleep(time.Millisecond)
	}
	before := disk.syncs
	gate <- struct{}{}
	<-syncing
	gate <- struct{}{}
	writers.Wait()
	if n := disk.syncs - before; n != 1 {
		t.Errorf("50 records took %d syncs, want 1", n)
	}
	if n := s.count(); n != 51 {
		t.Errorf("%d records, want 51", n)
	}
	disk.set(func(d *faultyDisk) { d.gate = nil })
	if err := s.journal.close(); err != nil {
		t.Error(err)
	}
}

func (j *journal) queued() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.waiting)
}

// TestATornTailIsCutOff cuts the log within its last record, turns octets of it and zeroes its end, as a crash may.
func TestATornTailIsCutOff(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	name := filepath.Join(dir, segmentName(1))
	s := start(t, Config{Dir: dir})
	mustSend(t, s, "a@surel.example", mailText("first", "Pertama", "isi\r\n"))
	first, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	mustSend(t, s, "b@surel.example", mailText("second", "Kedua", "isi\r\n"))
	_ = s.Close()
	whole, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	second := int(first.Size())
	for cut := 0; cut < len(whole)-second; cut++ {
		if cut > 2*recordHeader { // the lengths and the sum are looked at octet by octet, the rest in steps
			cut += 12
		}
		cut = min(cut, len(whole)-second-1)
		turned := append([]byte(nil), whole...)
		turned[second+cut] ^= 0x40
		zeros := make([]byte, len(whole)-second-cut)
		for what, tail := range map[string][]byte{
			"cut at":        whole[:second+cut],
			"turned at":     turned,
			"zeros from":    append(append([]byte(nil), whole[:second+cut]...), zeros...),
			"wrong way, at": append(append([]byte(nil), whole[:second+cut]...), whole[second:]...),
		} {
			if what == "wrong way, at" && cut == 0 {
				continue // that is the whole log
			}
			if err := os.WriteFile(name, tail, 0o600); err != nil {
				t.Fatal(err)
			}
			if got := reopen(t, dir); !cmp.Equal(got, []string{"first"}) {
				t.Fatalf("%s octet %d: got %v, want only the first mail", what, second+cut, got)
			}
			if info, err := os.Stat(name); err != nil || info.Size() != int64(second) {
				t.Fatalf("%s octet %d: %d octets are left, want %d", what, second+cut, info.Size(), second)
			}
		}
	}
}

// reopen reads the folder as a start does, and returns the tokens.
func reopen(t *testing.T, dir string) []string {
	t.Helper()
	s, err := openStore(folder{dir}, Config{}.withDefaults().limits, Config{}.withDefaults().Log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.journal.close() }()
	var tokens []string
	for m := range s.all(Filter{Which: All}) {
		tokens = append(tokens, m.Token)
	}
	return tokens
}

func TestDamageElsewhereIsTold(t *testing.T) {
	t.Parallel()
	config := Config{limits: limits{segment: 300, record: 1 << 20}}
	for name, test := range map[string]struct {
		damage func(dir string) error
		want   string
	}{
		"an earlier segment": {
			func(dir string) error { return os.Truncate(filepath.Join(dir, segmentName(1)), 500) },
			"read 00000001.mail: damaged at octet 444: move the folder away and start with an empty one",
		},
		"a segment is gone": {
			func(dir string) error { return os.Remove(filepath.Join(dir, segmentName(1))) },
			"00000001.mail is missing: put it back, or start with an empty folder",
		},
		"another file": {
			func(dir string) error { return os.WriteFile(filepath.Join(dir, "my.mail"), nil, 0o600) },
			"my.mail: not a file of the sandbox: move it away",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			config := config
			config.Dir = t.TempDir()
			config.Now = func() time.Time { return time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC) }
			config.limits.segment = 600
			s := start(t, config)
			for range 5 {
				mustSend(t, s, "a@surel.example", mailText("t", "Halo", "0123456789\r\n"))
			}
			_ = s.Close()
			if err := test.damage(config.Dir); err != nil {
				t.Fatal(err)
			}
			_, err := Start(t.Context(), config)
			if want := "start sandbox: open the sandbox's folder: " + test.want; err == nil || err.Error() != want {
				t.Errorf("got  %v\nwant %s", err, want)
			}
		})
	}
}

// TestFoldersOfMailAloneStillOpen reads a folder that was written before there were texts, and adds one.
func TestFoldersOfMailAloneStillOpen(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "mail1"))); err != nil {
		t.Fatal(err)
	}
	at := time.Date(2026, 11, 22, 8, 0, 0, 123000, time.UTC)
	want := []Message{
		{
			ID: 3, Channel: ChannelEmail, ReceivedAt: at, From: "halo@bengkel.example", To: []string{"siti@surel.example"}, Subject: "Selamat, José",
			MessageID: "token-3@sapa.example", Token: "token-3", Size: 145,
			Verdict: Verdict{Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot},
		},
		{
			ID: 2, Channel: ChannelEmail, ReceivedAt: at, From: "halo@bengkel.example", To: []string{"x+bounce@surel.example"},
			Verdict: Verdict{Code: 550, Enhanced: "5.1.1", Words: "No such mailbox here", Stage: AtRecipient, Rule: "bounce"},
		},
		{
			ID: 1, Channel: ChannelEmail, ReceivedAt: at, From: "halo@bengkel.example", To: []string{"budi@surel.example"}, Subject: "Selamat, Budi",
			MessageID: "token-1@sapa.example", Token: "token-1", Size: 126,
			Verdict: Verdict{Accepted: true, Code: 250, Enhanced: "2.0.0", Words: "OK: queued", Stage: AtDot},
		},
	}
	s := start(t, Config{Dir: dir})
	if diff := cmp.Diff(want, s.Messages(Filter{Which: All}, Page{}).Messages); diff != "" {
		t.Error(diff)
	}
	mustText(t, s, textTo(customer, "Halo", ""))
	settle(t, s)
	s = restartDir(t, s, dir)
	if c := s.Counts(); c.Accepted != 3 || c.Texts != 1 || c.Refused != 1 {
		t.Errorf("counts %+v", c)
	}
	if diff := cmp.Diff(want, s.Messages(Filter{Which: All, Channel: ChannelEmail}, Page{}).Messages); diff != "" {
		t.Error(diff)
	}
}

func TestARecordOfAnotherVersionIsTold(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	record := sealMeta(nil, func(b []byte) []byte { return append(b, eventVersion+1, 0) }, nil)
	if err := os.WriteFile(filepath.Join(dir, segmentName(1)), record, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := Start(t.Context(), Config{Dir: dir})
	want := "start sandbox: open the sandbox's folder: read 00000001.mail: written by another version of Sapa: start with an empty folder"
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
