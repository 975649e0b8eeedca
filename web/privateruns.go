package web

import (
	"cmp"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"

	"github.com/sapa-crm/sapa/access"
	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/report"
)

// latestRuns is how many runs the first page shows, besides those that are still open.
const latestRuns = 20

type homeView struct {
	Campaigns []report.Applied
	Runs      []runView
}

// runView is a run with the buttons that its state and the user's role allow.
type runView struct {
	report.Run
	Actions  []action
	controls bool // whether the user may do anything to any run
}

// action is something to do to a run.
type action struct {
	Name, Label string
	Asks        bool // leads to a page that asks first
	Quiet       bool // not what one mostly comes for
}

func (p *private) home(w http.ResponseWriter, r *http.Request, s *access.Session) {
	if !s.User.Can(access.ReadReports) {
		first := "/replies"
		if p.Calls.Desk != nil && s.User.Can(access.MakeCalls) {
			first = "/calls"
		}
		http.Redirect(w, r, first, http.StatusSeeOther)
		return
	}
	campaigns, err := p.Overview(r.Context())
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	runs, err := p.openAndLatest(r.Context())
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	v := &homeView{Campaigns: campaigns}
	for _, run := range runs {
		v.Runs = append(v.Runs, newRunView(run, &s.User))
	}
	p.show(w, r, http.StatusOK, "home", &privateView{Title: "Campaigns", User: &s.User, Home: v})
}

// openAndLatest are the runs that still go on and the newest ones, the newest first.
func (p *private) openAndLatest(ctx context.Context) ([]report.Run, error) {
	open, err := p.runs(ctx, report.Filter{Open: true})
	if err != nil {
		return nil, err
	}
	latest, err := p.runs(ctx, report.Filter{Latest: latestRuns})
	if err != nil {
		return nil, err
	}
	runs := append(open, latest...)
	slices.SortStableFunc(runs, func(a, b report.Run) int { return cmp.Compare(b.RunID, a.RunID) })
	return slices.CompactFunc(runs, func(a, b report.Run) bool { return a.RunID == b.RunID }), nil
}

// runs are the report's runs without their campaigns, the newest first.
func (p *private) runs(ctx context.Context, f report.Filter) ([]report.Run, error) {
	rep, err := p.Reports(ctx, f)
	if err != nil {
		return nil, err
	}
	runs := []report.Run{}
	for _, c := range rep.Campaigns {
		runs = append(runs, c.Runs...)
	}
	slices.SortFunc(runs, func(a, b report.Run) int { return cmp.Compare(b.RunID, a.RunID) })
	return runs, nil
}

// findRun is the run of the address.
func (p *private) findRun(ctx context.Context, number string) (*report.Run, error) {
	id, err := strconv.Atoi(number)
	if err != nil || id < 1 {
		return nil, fmt.Errorf("run %q: %w", number, report.ErrNotFound)
	}
	runs, err := p.runs(ctx, report.Filter{Run: id})
	if err != nil {
		return nil, err
	}
	return &runs[0], nil
}

// done says what a button has done, after the redirect.
var done = map[string]string{
	"pause": "The run is paused.", "resume": "The run goes on.", "cancel": "The run is cancelled.", "retry": "What failed or was skipped is planned again.",
	"none": "Nothing could be planned again: what failed or was skipped has no usable address, or a later run has taken it up.",
}

func (p *private) run(w http.ResponseWriter, r *http.Request, s *access.Session) {
	run, err := p.findRun(r.Context(), r.PathValue("run"))
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	p.show(w, r, http.StatusOK, "run", &privateView{
		Title: fmt.Sprintf("Run %d of %s", run.RunID, run.Campaign), User: &s.User, Done: done[r.URL.Query().Get("done")],
		Run: new(newRunView(*run, &s.User)),
	})
}

func newRunView(run report.Run, user *access.User) runView {
	return runView{run, actions(&run, user), user.Can(access.ControlRuns)}
}

// actions are the buttons of a run.
func actions(run *report.Run, user *access.User) []action {
	if !user.Can(access.ControlRuns) {
		return nil
	}
	cancel := action{"cancel", "Cancel…", true, true}
	switch {
	case run.State == "sending":
		return []action{{"pause", "Pause", false, false}, cancel}
	case run.State == "paused", run.State == "planning" && run.Reason != nil:
		return []action{{"resume", "Resume", false, false}, cancel}
	case run.State == "planning":
		return []action{cancel}
	case run.State == "done" && run.Failed+run.Skipped > 0:
		return []action{{"retry", "Retry failed and skipped", false, true}}
	}
	return nil
}

func (p *private) askCancel(w http.ResponseWriter, r *http.Request, s *access.Session) {
	run, err := p.findRun(r.Context(), r.PathValue("run"))
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	p.show(w, r, http.StatusOK, "cancel", &privateView{Title: fmt.Sprintf("Cancel run %d?", run.RunID), User: &s.User, Cancel: run})
}

func (p *private) act(w http.ResponseWriter, r *http.Request, s *access.Session) {
	id, err := strconv.Atoi(r.PathValue("run"))
	action := r.PathValue("action")
	if err != nil || id < 1 || done[action] == "" || action == "none" {
		p.unknown(w, r, s)
		return
	}
	n, err := p.change(r.Context(), id, action, s.User.Name)
	if err != nil {
		p.trouble(w, r, s, err)
		return
	}
	if action == "retry" && n == 0 {
		action = "none"
	}
	http.Redirect(w, r, fmt.Sprintf("/runs/%d?done=%s", id, action), http.StatusSeeOther)
}

// byHand begins the reason of a run that a person paused, as sapa pause writes it.
const byHand = "paused by "

// change does something to a run; n is how many messages retry planned again.
func (p *private) change(ctx context.Context, run int, action, actor string) (n int, err error) {
	switch action {
	case "pause":
		err = p.Runs.Pause(ctx, run, actor, byHand+actor)
	case "resume":
		err = p.Runs.ResumeLater(ctx, run, actor)
	case "cancel":
		err = p.Runs.Cancel(ctx, run, actor)
	case "retry":
		n, err = p.Runs.Retry(ctx, run, actor)
	default:
		err = fmt.Errorf("%q of a run: %w", action, campaign.ErrNotFound)
	}
	return n, err
}

// CanAct says whether the page has a column of buttons.
func (v runView) CanAct() bool { return v.controls }

type numberOf struct {
	Label  string
	Number int64
	Rate   *float64
}

// Accounting is what the audience is made of.
func (v runView) Accounting() []numberOf {
	list := []numberOf{
		{Label: "had this occasion before", Number: v.Already},
		{Label: "planned", Number: v.Planned},
		{Label: "being sent", Number: v.Claimed},
		{Label: "sent", Number: v.Sent},
		{Label: "failed", Number: v.Failed},
		{Label: "skipped", Number: v.Skipped},
		{Label: "held out", Number: v.HeldOut},
		{Label: "unknown", Number: v.Unknown},
		{Label: "of these by a further channel", Number: v.Rungs},
	}
	return slices.DeleteFunc(list, func(n numberOf) bool { return n.Number == 0 })
}

// CameBack is what providers and people did with the messages; what a channel never tells is left out.
func (v runView) CameBack() []numberOf {
	list := []numberOf{}
	for _, told := range []struct {
		label  string
		number *int64
		rate   *float64
	}{
		{"delivered, says the provider", v.Delivered, v.DeliveryRate},
		{"not delivered", v.Undelivered, v.UndeliveredRate},
		{"read", v.Read, nil},
		{"answered", v.Replied, v.ReplyRate},
	} {
		if told.number != nil {
			list = append(list, numberOf{told.label, *told.number, told.rate})
		}
	}
	texts := v.Segments != nil
	if len(v.Run.Calls) > 0 {
		return append(list, numberOf{"unsubscribed from", v.Unsubscribed, v.UnsubscribeRate})
	}
	if !texts {
		list = append(list, numberOf{"opened", v.Opened, v.OpenRate})
	}
	list = append(list, numberOf{"clicked", v.Clicked, v.ClickRate}, numberOf{"unsubscribed from", v.Unsubscribed, v.UnsubscribeRate})
	if !texts {
		return append(list, numberOf{"returned because the address is dead", v.Bounced, v.BounceRate})
	}
	return append(list, numberOf{Label: "parts of texts that are charged", Number: *v.Segments})
}
