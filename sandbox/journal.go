package sandbox

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"sync"
)

// journal appends records to segment files and returns from append only when they are on the disk. All records that
// arrive while a sync is under way share the next one (group commit).
//
// When a write or a sync fails, everybody in that batch is told, and the segment is cut back to what was durable
// before, so that nothing of which we said "no" can be found there after a restart. Until the cut succeeds, every
// append fails.
type journal struct {
	fs     fileSystem
	limits limits
	log    *slog.Logger
	unlock func() error

	// added is called by the writer for each durable record, in the order of the files, before append returns.
	added func(at place, meta []byte)

	mu      sync.Mutex
	waiting []*pending
	closed  bool
	wake    chan struct{}
	stopped chan struct{}

	segmentsMu sync.RWMutex
	segments   []file

	// Only the writer uses what follows.
	last  file
	good  int64 // octets of the last segment that are durable
	dirty bool  // the last segment may hold more than good
	buf   []byte

	repaired error // of the last repair; read once stopped is closed
}

type limits struct {
	segment int64 // a new segment is begun beyond this many octets
	record  int   // largest record
}

// place is where the raw mail of a record lies.
type place struct {
	segment uint32
	offset  int64
	size    uint32
}

type pending struct {
	record []byte
	done   chan error
}

var errClosed = errors.New("the sandbox is shutting down")

// openJournal locks the folder, calls added for every record that it finds, and cuts off a torn tail.
func openJournal(fs fileSystem, lim limits, log *slog.Logger, added func(place, []byte)) (*journal, error) {
	unlock, err := fs.lock()
	if err != nil {
		return nil, err
	}
	j := &journal{
		fs: fs, limits: lim, log: log, unlock: unlock, added: added,
		wake: make(chan struct{}, 1), stopped: make(chan struct{}),
	}
	if err := j.recover(); err != nil {
		return nil, errors.Join(err, j.closeFiles())
	}
	go j.write()
	return j, nil
}

func (j *journal) recover() error {
	names, err := j.fs.names()
	if err != nil {
		return err
	}
	numbers, err := segmentNumbers(names)
	if err != nil {
		return err
	}
	for i, number := range numbers {
		if number != i+1 {
			return fmt.Errorf("%s is missing: put it back, or start with an empty folder", segmentName(i+1))
		}
		if err := j.recoverSegment(number, i == len(numbers)-1); err != nil {
			return fmt.Errorf("read %s: %w", segmentName(number), err)
		}
	}
	if len(numbers) == 0 {
		return j.beginSegment()
	}
	// What a killed process wrote and did not sync is listed from now on, so it must last from now on.
	return errors.Join(j.last.Sync(), j.fs.sync())
}

func (j *journal) recoverSegment(number int, last bool) error {
	f, err := j.fs.open(segmentName(number))
	if err != nil {
		return err
	}
	j.addSegment(f)
	good, err := scanSegment(f, uint32(number), j.limits.record, j.added)
	if errors.Is(err, errTorn) && last {
		j.log.Warn("cut off the unfinished end of the sandbox's log", slog.Int("segment", number), slog.Int64("offset", good))
		err = errors.Join(f.Truncate(good), f.Sync())
	} else if errors.Is(err, errTorn) {
		return fmt.Errorf("damaged at octet %d: move the folder away and start with an empty one", good)
	}
	j.last, j.good = f, good
	return err
}

// scanSegment calls found for each whole record and returns where the last of them ends.
func scanSegment(f io.ReaderAt, number uint32, maxRecord int, found func(place, []byte)) (int64, error) {
	r := bufio.NewReaderSize(io.NewSectionReader(f, 0, math.MaxInt64), 1<<20)
	var offset int64
	var buf []byte
	for {
		meta, raw, grown, err := readRecord(r, buf, maxRecord)
		buf = grown
		if errors.Is(err, io.EOF) {
			return offset, nil
		}
		if err != nil {
			return offset, err
		}
		begin := offset + recordHeader + int64(len(meta))
		found(place{segment: number, offset: begin, size: uint32(len(raw))}, meta)
		offset = begin + int64(len(raw))
	}
}

func (j *journal) addSegment(f file) {
	j.segmentsMu.Lock()
	defer j.segmentsMu.Unlock()
	j.segments = append(j.segments, f)
}

// beginSegment opens the next segment; its name is durable before anything is written to it.
func (j *journal) beginSegment() error {
	f, err := j.fs.open(segmentName(len(j.segments) + 1))
	if err != nil {
		return err
	}
	if err := j.fs.sync(); err != nil {
		return errors.Join(err, f.Close())
	}
	j.addSegment(f)
	j.last, j.good = f, 0
	return nil
}

// append makes a sealed record durable. The record must not be changed before append returns. The error says why it
// is not durable; then it never will be.
func (j *journal) append(record []byte) error {
	if len(record)-recordHeader > j.limits.record {
		return fmt.Errorf("record of %d octets is over the limit of %d", len(record), j.limits.record)
	}
	p := &pending{record: record, done: make(chan error, 1)}
	j.mu.Lock()
	if j.closed {
		j.mu.Unlock()
		return errClosed
	}
	j.waiting = append(j.waiting, p)
	j.mu.Unlock()
	select {
	case j.wake <- struct{}{}:
	default:
	}
	return <-p.done
}

func (j *journal) write() {
	defer close(j.stopped)
	for range j.wake {
		j.mu.Lock()
		batch, closed := j.waiting, j.closed
		j.waiting = nil
		j.mu.Unlock()
		if len(batch) > 0 {
			j.commit(batch)
		}
		if closed {
			j.repaired = j.repair()
			return
		}
	}
}

func (j *journal) commit(batch []*pending) {
	begin, err := j.persist(batch)
	if err != nil {
		j.log.Error("the sandbox could not write; it refuses mail until it can", slog.Any("err", err))
	} else {
		j.announce(batch, begin)
	}
	for _, p := range batch {
		p.done <- err
	}
}

// persist writes and syncs the batch and returns where it begins.
func (j *journal) persist(batch []*pending) (int64, error) {
	if err := j.repair(); err != nil {
		return 0, err
	}
	if j.good >= j.limits.segment {
		if err := j.beginSegment(); err != nil {
			return 0, err
		}
	}
	j.buf = j.buf[:0]
	for _, p := range batch {
		j.buf = append(j.buf, p.record...)
	}
	j.dirty = true
	if _, err := j.last.WriteAt(j.buf, j.good); err != nil {
		return 0, errors.Join(err, j.repair())
	}
	if err := j.last.Sync(); err != nil {
		return 0, errors.Join(err, j.repair())
	}
	j.dirty = false
	begin := j.good
	j.good += int64(len(j.buf))
	if cap(j.buf) > 8<<20 {
		j.buf = nil
	}
	return begin, nil
}

// repair cuts the last segment back to its durable part, if a write to it failed.
func (j *journal) repair() error {
	if !j.dirty {
		return nil
	}
	if err := j.last.Truncate(j.good); err != nil {
		return err
	}
	if err := j.last.Sync(); err != nil {
		return err
	}
	j.dirty = false
	return nil
}

func (j *journal) announce(batch []*pending, begin int64) {
	number := uint32(len(j.segments))
	for _, p := range batch {
		meta, raw := splitRecord(p.record)
		j.added(place{segment: number, offset: begin + recordHeader + int64(len(meta)), size: uint32(len(raw))}, meta)
		begin += int64(len(p.record))
	}
}

// read returns the raw mail at a place.
func (j *journal) read(at place) ([]byte, error) {
	j.segmentsMu.RLock()
	f := j.segments[at.segment-1]
	j.segmentsMu.RUnlock()
	raw := make([]byte, at.size)
	if n, err := f.ReadAt(raw, at.offset); n < len(raw) {
		return nil, fmt.Errorf("read %s: %w", segmentName(int(at.segment)), err)
	}
	return raw, nil
}

// close finishes what was appended and closes the files. Later appends fail.
func (j *journal) close() error {
	j.mu.Lock()
	already := j.closed
	j.closed = true
	j.mu.Unlock()
	if already {
		return nil
	}
	select {
	case j.wake <- struct{}{}:
	default:
	}
	<-j.stopped
	return errors.Join(j.repaired, j.closeFiles())
}

func (j *journal) closeFiles() error {
	var errs []error
	for _, f := range j.segments {
		errs = append(errs, f.Close())
	}
	return errors.Join(append(errs, j.unlock())...)
}
