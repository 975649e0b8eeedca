package report

import "io"

// WriteStatus prints where runs stand: one run with its whole accounting, several as a table.
func WriteStatus(w io.Writer, r Report, o TableOptions) error {
	p := &printer{out: &errWriter{w: w}, TableOptions: o.withDefaults(), ink: ink(o.Color)}
	var runs []Run
	for _, c := range r.Campaigns {
		runs = append(runs, c.Runs...)
	}
	switch len(runs) {
	case 0:
		p.line("no run is under way; earlier ones: sapa report")
	case 1:
		p.title(&runs[0])
		p.accounting(&runs[0])
		p.channels(&runs[0])
	default:
		p.grid(columnsOf(runs, nil, p.standing()), false)
		var lines []string
		for i := range runs {
			lines = append(lines, p.remark(&runs[i])...)
		}
		p.notes(lines)
	}
	return p.out.err
}

func (p *printer) standing() []field[Run] {
	return []field[Run]{
		{"Run", false, runID},
		{"Campaign", true, func(r *Run) string { return r.Campaign }},
		{"Tick", true, func(r *Run) string { return r.Tick.Format("2 Jan 15:04") }},
		{"State", true, func(r *Run) string { return p.state(r.State) }},
		{"Waiting", false, func(r *Run) string { return number(r.Waiting()) }},
		{"Sent", false, func(r *Run) string { return number(r.Sent) }},
		{"Failed", false, func(r *Run) string { return p.notable(r.Failed) }},
		{"Unknown", false, func(r *Run) string { return p.notable(r.Unknown) }},
	}
}
