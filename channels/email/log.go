package email

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// LogEntry is what a mail server's log says about one message.
type LogEntry struct {
	MessageID string // without angle brackets
	Accepted  bool   // the server took responsibility for it; false: it says that it did not
	QueueID   string // the server's own name for it, "" where the log has none
}

// ReadLog reads a mail server's log and calls found for each message that the log decides, in its order. It knows
//
//   - Postfix: cleanup's message-id=<…> with qmgr's "queue active" for the same queue id, and cleanup's rejects
//   - Exim: the arrival lines with <= and id=…
//   - lines of a Message-ID and one of the words accepted and refused, which any other log can be turned into
//
// and skips all other lines. ours says whether a Message-ID is one of ours; others are not remembered. The error is the
// reader's or found's.
func ReadLog(r io.Reader, ours func(messageID string) bool, found func(LogEntry) error) error {
	l := logReader{ours: ours, found: found, queued: map[string]string{}}
	lines := bufio.NewReaderSize(r, 64<<10)
	for {
		line, err := readLogLine(lines)
		ended := errors.Is(err, io.EOF)
		if err != nil && !ended {
			return fmt.Errorf("read mail log: %w", err)
		}
		if foundErr := l.line(line); foundErr != nil {
			return foundErr
		}
		if ended {
			return nil
		}
	}
}

// longestLogLine bounds what is kept of a line; what is behind it decides nothing.
const longestLogLine = 8 << 10

func readLogLine(r *bufio.Reader) (string, error) {
	var b strings.Builder
	for {
		part, more, err := r.ReadLine()
		if room := longestLogLine - b.Len(); room > 0 {
			b.Write(part[:min(room, len(part))])
		}
		if err != nil || !more {
			return b.String(), err
		}
	}
}

var (
	postfixID       = regexp.MustCompile(`/cleanup\[\d+\]: ([0-9A-Za-z]+): (?:resent-)?message-id=<?([^\s<>]+)>?`)
	postfixRejected = regexp.MustCompile(`/cleanup\[\d+\]: ([0-9A-Za-z]+): (?:milter-)?reject: `)
	postfixQueued   = regexp.MustCompile(`/qmgr\[\d+\]: ([0-9A-Za-z]+): from=.*\(queue active\)`)
	eximArrived     = regexp.MustCompile(`(?:^|\s)([0-9A-Za-z]+-[0-9A-Za-z]+-[0-9A-Za-z]+) <= .*?\sid=([^\s<>]+)`)
	plainVerdict    = regexp.MustCompile(`^\s*<?([^\s<>@]+@[^\s<>,;]+)>?[\s,;]+(accepted|refused)\b`)
)

type logReader struct {
	ours   func(string) bool
	found  func(LogEntry) error
	queued map[string]string // Postfix: queue id → Message-ID of ours that is not decided yet
}

func (l *logReader) line(line string) error {
	if m := postfixID.FindStringSubmatch(line); m != nil {
		if l.ours(m[2]) {
			l.queued[m[1]] = m[2]
		}
		return nil
	}
	if m := postfixRejected.FindStringSubmatch(line); m != nil {
		return l.decide(m[1], false)
	}
	if m := postfixQueued.FindStringSubmatch(line); m != nil {
		return l.decide(m[1], true)
	}
	if m := eximArrived.FindStringSubmatch(line); m != nil && l.ours(m[2]) {
		return l.found(LogEntry{MessageID: m[2], Accepted: true, QueueID: m[1]})
	}
	if m := plainVerdict.FindStringSubmatch(line); m != nil && l.ours(m[1]) {
		return l.found(LogEntry{MessageID: m[1], Accepted: m[2] == "accepted"})
	}
	return nil
}

// decide ends a message in Postfix's queue; later lines about it are about its delivery.
func (l *logReader) decide(queueID string, accepted bool) error {
	id, ok := l.queued[queueID]
	if !ok {
		return nil
	}
	delete(l.queued, queueID)
	return l.found(LogEntry{MessageID: id, Accepted: accepted, QueueID: queueID})
}
