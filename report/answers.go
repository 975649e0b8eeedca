package report

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// Answer is what customers answered on the spot, such as by a key of the phone: one row of view report_answers.
type Answer struct {
	Answer   string `json:"answer"`   // the campaign's word for it
	Messages int64  `json:"messages"` // that were answered so
	Answers  int64  `json:"answers"`  // all of them: who presses twice answers twice
}

// mostAnswers is how many different answers are printed.
const mostAnswers = 10

// readAnswers fills in the answers of runs, the commonest first.
func readAnswers(ctx context.Context, db pg.DBTX, ids []int, place map[int]*Run) error {
	rows, _ := db.Query(ctx, `
		select run_id, answer, messages, answers from report_answers
		where run_id = any($1) and answers > 0 order by run_id, messages desc, answer collate "C"`, ids)
	var run int
	var a Answer
	_, err := pgx.ForEachRow(rows, []any{&run, &a.Answer, &a.Messages, &a.Answers}, func() error {
		place[run].Answers = append(place[run].Answers, a)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read answers: %w", err)
	}
	return nil
}

// sumAnswers adds up the answers of runs, the commonest first.
func sumAnswers(runs []Run) (answers []Answer) {
	for i := range runs {
		for _, a := range runs[i].Answers {
			at := slices.IndexFunc(answers, func(o Answer) bool { return o.Answer == a.Answer })
			if at < 0 {
				answers = append(answers, a)
				continue
			}
			answers[at].Messages += a.Messages
			answers[at].Answers += a.Answers
		}
	}
	slices.SortFunc(answers, func(a, b Answer) int {
		return cmp.Or(cmp.Compare(b.Messages, a.Messages), cmp.Compare(a.Answer, b.Answer))
	})
	return answers
}

// answers prints what customers answered on the spot to a run.
func (p *printer) answers(r *Run) {
	if len(r.Answers) == 0 {
		return
	}
	p.line("")
	var list []row
	for _, a := range r.Answers[:min(mostAnswers, len(r.Answers))] {
		one := row{a.Messages, "answered “" + a.Answer + "”", ""}
		if a.Answers > a.Messages {
			one.note = number(a.Answers) + " times in all"
		}
		list = append(list, one)
	}
	p.rows(max(7, len(number(r.Audience))), list, "")
	if more := len(r.Answers) - mostAnswers; more > 0 {
		p.line("  %s", p.faint(moreAnswers(more)))
	}
}

// answered are the columns of what customers answered to a campaign.
func (p *printer) answered(s Sum) {
	if len(s.Answers) == 0 {
		return
	}
	p.grid(columnsOf(s.Answers[:min(mostAnswers, len(s.Answers))], nil, []field[Answer]{
		{"Answered", true, func(a *Answer) string { return a.Answer }},
		{"Messages", false, func(a *Answer) string { return number(a.Messages) }},
		{"Of sent", false, func(a *Answer) string { return percent(ratio(a.Messages, s.Sent)) }},
	}), false)
	if more := len(s.Answers) - mostAnswers; more > 0 {
		p.line("  %s", p.faint(moreAnswers(more)))
	}
}

func moreAnswers(n int) string {
	return fmt.Sprintf("and %d rarer; the view report_answers has all", n)
}

// answersText is "interested=3; later=1".
func answersText(r *Run) string {
	parts := make([]string, len(r.Answers))
	for i, a := range r.Answers {
		parts[i] = fmt.Sprintf("%s=%d", a.Answer, a.Messages)
	}
	return strings.Join(parts, "; ")
}
