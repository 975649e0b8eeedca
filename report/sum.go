package report

import (
	"cmp"
	"slices"
)

// sum adds up the numbers of runs, and has the rates of these sums.
func sum(runs []Run) Sum {
	s := Sum{Runs: len(runs), Reasons: []Reason{}, Causes: sumCauses(runs), Answers: sumAnswers(runs), Calls: sumCalls(runs)}
	type key struct{ state, reason string }
	reasons := map[key]int64{}
	for i := range runs {
		s.add(&runs[i].Numbers)
		for _, r := range runs[i].Reasons {
			reasons[key{r.State, r.Reason}] += r.Messages
		}
	}
	for k, n := range reasons {
		s.Reasons = append(s.Reasons, Reason{k.state, k.reason, n})
	}
	slices.SortFunc(s.Reasons, func(a, b Reason) int {
		return cmp.Or(cmp.Compare(a.State, b.State), cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Reason, b.Reason))
	})
	s.Rates = s.rates()
	return s
}

func (n *Numbers) add(o *Numbers) {
	n.Audience += o.Audience
	n.Already += o.Already
	n.Planned += o.Planned
	n.Claimed += o.Claimed
	n.Sent += o.Sent
	n.Failed += o.Failed
	n.Skipped += o.Skipped
	n.HeldOut += o.HeldOut
	n.Rungs += o.Rungs
	n.Unknown += o.Unknown
	n.Bounced += o.Bounced
	n.Opened += o.Opened
	n.Opens += o.Opens
	n.Clicked += o.Clicked
	n.Clicks += o.Clicks
	n.Unsubscribed += o.Unsubscribed
	n.MachineOpened += o.MachineOpened
	n.MachineOpens += o.MachineOpens
	n.MachineClicked += o.MachineClicked
	n.MachineClicks += o.MachineClicks
	n.Delivered = addKnown(n.Delivered, o.Delivered)
	n.Undelivered = addKnown(n.Undelivered, o.Undelivered)
	n.Read = addKnown(n.Read, o.Read)
	n.Replied = addKnown(n.Replied, o.Replied)
	n.Segments = addKnown(n.Segments, o.Segments)
	n.addCost(o)
	n.Priced = addKnown(n.Priced, o.Priced)
}

// addKnown adds numbers of which either may be missing.
func addKnown(a, b *int64) *int64 {
	if a == nil || b == nil {
		return cmp.Or(a, b)
	}
	sum := *a + *b
	return &sum
}

// addCost adds what messages cost. Several currencies have no sum.
func (n *Numbers) addCost(o *Numbers) {
	switch {
	case o.Priced == nil:
	case n.Priced == nil:
		n.Cost, n.Currency = o.Cost, o.Currency
	case n.Currency == nil || o.Currency == nil || *n.Currency != *o.Currency:
		n.Cost, n.Currency = nil, nil
	default:
		n.Cost = n.Cost.Add(o.Cost)
	}
}

// sumCauses adds up why messages did not arrive, the commonest first.
func sumCauses(runs []Run) []Cause {
	causes := []Cause{}
	for i := range runs {
		for _, c := range runs[i].Causes {
			same := func(o Cause) bool { return value(o.Code) == value(c.Code) }
			if at := slices.IndexFunc(causes, same); at >= 0 {
				causes[at].Messages += c.Messages
				continue
			}
			causes = append(causes, c)
		}
	}
	slices.SortFunc(causes, func(a, b Cause) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(value(a.Code), value(b.Code)))
	})
	return causes
}

// value is what a pointer points at, the zero value where it points at nothing.
func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// openRate is unknown for text messages, which tell nothing of being opened.
func (n *Numbers) openRate() *float64 {
	if n.Segments != nil {
		return nil
	}
	return ratio(n.Opened, n.Sent)
}

// rates are those of view report_runs.
func (n *Numbers) rates() Rates {
	return Rates{
		OpenRate:        n.openRate(),
		ClickRate:       ratio(n.Clicked, n.Sent),
		ClickToOpenRate: ratio(n.Clicked, n.Opened),
		UnsubscribeRate: ratio(n.Unsubscribed, n.Sent),
		BounceRate:      ratio(n.Bounced, n.Sent+n.Bounced),
		DeliveryRate:    ratioKnown(n.Delivered, n.Sent),
		UndeliveredRate: ratioKnown(n.Undelivered, n.Sent),
		ReplyRate:       ratioKnown(n.Replied, n.Sent),
	}
}

func ratio(part, of int64) *float64 {
	if of == 0 {
		return nil
	}
	r := float64(part) / float64(of)
	return &r
}

func ratioKnown(part *int64, of int64) *float64 {
	if part == nil {
		return nil
	}
	return ratio(*part, of)
}

// Missing is by how much the parts fall short of the audience and the later rungs of ladders: 0, always.
func (n *Numbers) Missing() int64 {
	return n.Audience + n.Rungs - n.Already - n.Planned - n.Claimed - n.Sent - n.Failed - n.Skipped - n.HeldOut - n.Unknown
}

// Waiting is what is still to be handed over.
func (n *Numbers) Waiting() int64 { return n.Planned + n.Claimed }
