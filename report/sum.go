package report

import (
	"cmp"
	"slices"
)

// sum adds up the numbers of runs, and has the rates of these sums.
func sum(runs []Run) Sum {
	s := Sum{Runs: len(runs), Reasons: []Reason{}}
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
}

// rates are those of view report_runs.
func (n *Numbers) rates() Rates {
	return Rates{
		OpenRate:        ratio(n.Opened, n.Sent),
		ClickRate:       ratio(n.Clicked, n.Sent),
		ClickToOpenRate: ratio(n.Clicked, n.Opened),
		UnsubscribeRate: ratio(n.Unsubscribed, n.Sent),
		BounceRate:      ratio(n.Bounced, n.Sent+n.Bounced),
	}
}

func ratio(part, of int64) *float64 {
	if of == 0 {
		return nil
	}
	r := float64(part) / float64(of)
	return &r
}

// Missing is by how much the parts fall short of the audience: 0, always.
func (n *Numbers) Missing() int64 {
	return n.Audience - n.Already - n.Planned - n.Claimed - n.Sent - n.Failed - n.Skipped - n.HeldOut - n.Unknown
}

// Waiting is what is still to be handed over.
func (n *Numbers) Waiting() int64 { return n.Planned + n.Claimed }
