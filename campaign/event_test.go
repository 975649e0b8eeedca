package campaign_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/delivery"
)

const eventsYAML = `
events:
  check_in: {data: {gate: text, amount: number, address.city: text}}
`

const checkinYAML = `
campaign: checkin
topic: greetings
trigger: {event: check_in, where: 'birthday(customer.birth_date) && event.gate != "staff"'}
audience: {where: customer.email != nil}
channels: [email]
content:
  email:
    subject: "{{ event.gate }} {{ event.data.amount }} {{ event.name }} {{ event.at | date: '%Y' }} {{ customer.first_name }}"
    text: "Halo"
`

// heard is a channel that says when it was given a message.
type heard struct{ sent chan *channels.Message }

func (heard) Name() string                                     { return "email" }
func (heard) Account() string                                  { return "heard" }
func (h heard) Open(context.Context) (channels.Session, error) { return h, nil }
func (heard) Close() error                                     { return nil }
func (h heard) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error, done func(*channels.Message, channels.Receipt, error)) error {
	for {
		m, ok := channels.Receive(ctx, in)
		if !ok {
			return nil
		}
		if err := permit(m); err != nil {
			done(m, channels.Receipt{}, channels.Unavailable(err))
			continue
		}
		done(m, channels.Receipt{Code: 250}, nil)
		h.sent <- m
	}
}

// club is a shop whose members check in.
func club(t *testing.T) *shop {
	t.Helper()
	s := setup(t)
	s.resolve(strings.ReplaceAll(shopYAML, "SMTP", s.mail.SMTPAddr()) + eventsYAML)
	s.customers(3)
	s.exec(`insert into shop.customers (id, first_name, email, birth_date) values (4, 'Dewi', 'dewi@mail.example', '1991-01-02')`)
	s.apply("checkin", checkinYAML, nil)
	return s
}

// keepTime lets the shop go by another clock.
func (s *shop) keepTime(now func() time.Time) {
	s.now = now
	s.resolve(strings.ReplaceAll(shopYAML, "SMTP", s.mail.SMTPAddr()) + eventsYAML)
}

// serve works as sapa serve does until the test ends; sweeping says whether lost events are looked for.
func (s *shop) serve(sweeping bool) heard {
	s.t.Helper()
	h := heard{make(chan *channels.Message, 100)}
	e := s.engineWith(h)
	ctx, stop := context.WithCancel(s.t.Context())
	var loops sync.WaitGroup
	loops.Go(func() {
		if err := e.Run(ctx, s.planner.AddWorkers); err != nil {
			s.t.Error(err)
		}
	})
	if sweeping {
		loops.Go(func() { s.planner.RunSchedules(ctx) })
	}
	s.t.Cleanup(func() { stop(); loops.Wait() })
	return h
}

// hear waits for the next message.
func (s *shop) hear(h heard) *channels.Message {
	s.t.Helper()
	select {
	case m := <-h.sent:
		return m
	case <-time.After(20 * time.Second):
		s.t.Fatalf("no message in time: %v", s.strings(`select concat_ws(' ', m.id, m.state, m.reason, a.words) from messages m left join attempts a on a.message_id = m.id`))
		return nil
	}
}

func (s *shop) event(e campaign.Event) *campaign.Received {
	s.t.Helper()
	r, err := s.planner.Receive(s.t.Context(), e)
	s.must(err)
	return r
}

// checkIn is an event of a customer.
func checkIn(key, data string) campaign.Event {
	return campaign.Event{Name: "check_in", Customer: key, Data: json.RawMessage(data), Actor: "gate"}
}

// settled waits until what the event triggers has been handled and its messages have a state.
func (s *shop) settled(event int64) []campaign.Triggered {
	s.t.Helper()
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
		list, err := campaign.ListEvents(s.t.Context(), s.pool, campaign.EventFilter{Limit: 1000})
		s.must(err)
		for _, e := range list {
			if e.ID != event {
				continue
			}
			open := false
			for _, t := range e.Triggered {
				open = open || t.Outcome == "" || t.State == "planned" || t.State == "claimed"
			}
			if !open {
				return e.Triggered
			}
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("event %d waits: %+v", event, list)
		}
	}
}

// Nothing sweeps here: the message goes because the event's job wakes a worker.
func TestEventSendsAtOnce(t *testing.T) {
	t.Parallel()
	s := club(t)
	h := s.serve(false)
	first := s.event(checkIn("01", `{"gate": "north", "amount": 7.50, "address": {"city": "Solo"}}`))
	want := &campaign.Received{ID: 1, Event: "check_in", Customer: "1", At: monday, ReceivedAt: monday, Campaigns: []string{"checkin"}}
	if diff := cmp.Diff(want, first, cmpopts.EquateApproxTime(0)); diff != "" {
		t.Error(diff)
	}
	if m := s.hear(h); m.Subject != "north 7.5 check_in 2026 Budi 1" || m.To.Addr != "budi1@mail.example" {
		t.Errorf("%q to %s", m.Subject, m.To.Addr)
	}
	second := s.event(checkIn("2", `{"gate": "south", "amount": 2}`))
	s.hear(h)
	staff, other := s.event(checkIn("3", `{"gate": "staff"}`)), s.event(checkIn("4", `{"gate": "north"}`))
	outcomes := map[int64]campaign.Triggered{}
	for _, id := range []int64{first.ID, second.ID, staff.ID, other.ID} {
		outcomes[id] = s.settled(id)[0]
	}
	base := int64(s.number(`select message_base from runs`))
	wantOutcomes := map[int64]campaign.Triggered{
		1: {Campaign: "checkin", Outcome: "planned", Run: 1, Message: base + 1, Messages: 1, State: "sent"},
		2: {Campaign: "checkin", Outcome: "planned", Run: 1, Message: base + 2, Messages: 1, State: "sent"},
		3: {Campaign: "checkin", Outcome: "not meant"},
		4: {Campaign: "checkin", Outcome: "not meant"},
	}
	if diff := cmp.Diff(wantOutcomes, outcomes); diff != "" {
		t.Error(diff)
	}
	s.addsUp()
	if diff := cmp.Diff([]string{"1 sending t check_in 2 2026-11-23"}, s.strings(`select concat_ws(' ', id, state, open, event, message_count, tick::date) from runs`)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{`"event 1"`, `"event 2"`}, s.strings(`select occasion from occasions order by 1`)); diff != "" {
		t.Error(diff)
	}
}

// A process dies between taking the event and planning its message: its job stays where it is, and the sweep finds the event.
func TestEventOfADeadProcess(t *testing.T) {
	t.Parallel()
	s := club(t)
	r := s.event(checkIn("1", `{"gate": "north", "amount": 1}`))
	s.exec(`update river_job set state = 'running', attempt = 1, attempted_at = now(), attempted_by = '{dead}' where kind = 'event'`)
	h := s.serve(true)
	s.hear(h)
	if got := s.settled(r.ID); got[0].State != "sent" {
		t.Errorf("%+v", got)
	}
	s.addsUp()
}

// However many handle an event at once, it has one message.
func TestEventHandledOnce(t *testing.T) {
	t.Parallel()
	s := club(t)
	var ids []int64
	for i := range 6 {
		ids = append(ids, s.event(checkIn(fmt.Sprint(i%3+1), `{"gate": "north"}`)).ID)
	}
	campaignID := s.number(`select id from campaigns`)
	var nodes sync.WaitGroup
	errs := make([]error, 4)
	for n := range errs {
		nodes.Go(func() {
			for _, id := range ids {
				errs[n] = errors.Join(errs[n], s.planner.HandleEvent(t.Context(), id, campaignID))
			}
		})
	}
	nodes.Wait()
	s.must(errors.Join(errs...))
	for _, id := range ids { // whoever found one in another's hands has left it
		s.must(s.planner.HandleEvent(t.Context(), id, campaignID))
	}
	got := s.strings(`select concat_ws(' ', count(*), count(distinct run_id), max(id) - min(id) + 1, (select sum(delta) from run_totals where state = 'audience')) from messages`)
	if diff := cmp.Diff([]string{"6 1 6 6"}, got); diff != "" {
		t.Error(diff)
	}
	if n := s.number(`select count(*) from triggers where handled_at is null or trouble is not null`); n != 0 {
		t.Errorf("%d are not handled", n)
	}
	s.addsUp()
}

// A preview for nobody in particular takes the last event whose customer is there: not one who was erased, nor one whose row
// is gone.
func TestPreviewOfTheLastEventOfSomebody(t *testing.T) {
	t.Parallel()
	s := club(t)
	s.event(checkIn("1", `{"gate": "north", "amount": 1}`))
	s.event(checkIn("2", `{"gate": "south", "amount": 2}`))
	s.exec(`update events set customer_key = 'erased-x', data = '{}' where customer_key = '2'`)
	if got := s.previewed(""); got != "north 1 check_in 2026 Budi 1" {
		t.Error(got)
	}
	s.event(checkIn("3", `{"gate": "east", "amount": 3}`))
	s.exec(`delete from shop.customers where id = 3`)
	if got := s.previewed(""); got != "north 1 check_in 2026 Budi 1" {
		t.Error(got)
	}
}

// previewed is the subject of a preview for a customer, or for anybody.
func (s *shop) previewed(key string) string {
	s.t.Helper()
	p, err := s.campaign("checkin").Preview(s.t.Context(), s.pool, key, time.Time{}, s.now(), "http://127.0.0.1:9")
	s.must(err)
	return p.Message.Subject
}

// What stands in the way is noted and tried again; nobody is skipped for it.
func TestEventTrouble(t *testing.T) {
	t.Parallel()
	s := club(t)
	id := s.event(checkIn("1", `{"gate": "north"}`)).ID
	s.exec(`alter table shop.customers rename birth_date to born_on`)
	s.must(s.planner.HandleEvent(t.Context(), id, 1))
	if got := s.settledNow(id); got.Tries != 1 || !strings.Contains(got.Trouble, "birth_date") || got.Outcome != "" {
		t.Errorf("%+v", got)
	}
	s.exec(`alter table shop.customers rename born_on to birth_date`)
	s.must(s.planner.HandleEvent(t.Context(), id, 1))
	if got := s.settledNow(id); got.Outcome != "planned" || got.Trouble != "" {
		t.Errorf("%+v", got)
	}
	s.addsUp()
}

func (s *shop) settledNow(event int64) campaign.Triggered {
	s.t.Helper()
	list, err := campaign.ListEvents(s.t.Context(), s.pool, campaign.EventFilter{Limit: 1000})
	s.must(err)
	for _, e := range list {
		if e.ID == event {
			return e.Triggered[0]
		}
	}
	s.t.Fatalf("no event %d", event)
	return campaign.Triggered{}
}

// A day's run takes what its day's events make, and another begins the next day; a cancelled one takes nothing more.
func TestEventRunOfTheDay(t *testing.T) {
	t.Parallel()
	s := club(t)
	s.exec(`update shop.customers set birth_date = '1990-11-24' where id = 3`)
	now := monday
	s.keepTime(func() time.Time { return now })
	handle := func(key string) campaign.Triggered {
		t.Helper()
		id := s.event(checkIn(key, `{"gate": "north", "amount": 1}`)).ID
		s.must(s.planner.HandleEvent(t.Context(), id, 1))
		return s.settledNow(id)
	}
	handle("1")
	s.must(s.planner.Cancel(t.Context(), 1, "ani"))
	if got := handle("1"); got.Run != 2 {
		t.Errorf("after cancelling: %+v", got)
	}
	now = monday.Add(24 * time.Hour)
	if got := handle("3"); got.Run != 3 {
		t.Errorf("the next day: %+v", got)
	}
	if got := handle("1"); got.Outcome != "not meant" {
		t.Errorf("the day after the birthday: %+v", got)
	}
	s.addsUp()
	h := s.serve(true) // the first day is over, and ends with its last message
	for range 2 {
		s.hear(h)
	}
	s.await(2, "done")
	if diff := cmp.Diff([]string{"1 cancelled", "2 done", "3 sending"}, s.strings(`select id || ' ' || state from runs order by id`)); diff != "" {
		t.Error(diff)
	}
	late := s.event(checkIn("1", `{"gate": "north", "amount": 1}`)).ID
	s.exec(`update events set at = $2 where id = $1`, late, monday) // it waited for long
	s.must(s.planner.HandleEvent(t.Context(), late, 1))
	if got := s.settled(late)[0]; got.Run != 2 && got.Outcome != "not meant" {
		t.Errorf("%+v", got)
	}
	s.addsUp()
}

func TestEventOccasionAndCooldown(t *testing.T) {
	t.Parallel()
	s := club(t)
	s.apply("checkin", strings.Replace(checkinYAML, "audience: {where: customer.email != nil}",
		"audience: {where: customer.email != nil, occasion: [today()], cooldown: 2d}", 1), nil)
	handle := func() string {
		t.Helper()
		id := s.event(checkIn("1", `{"gate": "north"}`)).ID
		s.must(s.planner.HandleEvent(t.Context(), id, 1))
		return s.settledNow(id).Outcome
	}
	got := []string{handle(), handle()}
	s.exec(`update occasions set occasion = 'another'`)
	got = append(got, handle())
	if diff := cmp.Diff([]string{"planned", "already", "skipped: cooldown"}, got); diff != "" {
		t.Error(diff)
	}
	s.addsUp()
}

// A message that waited is asked for again, as of its own event.
func TestEventIsAskedAgain(t *testing.T) {
	t.Parallel()
	s := club(t)
	now := monday
	s.keepTime(func() time.Time { return now })
	for _, key := range []string{"1", "2"} {
		s.must(s.planner.HandleEvent(t.Context(), s.event(checkIn(key, `{"gate": "north", "amount": 1}`)).ID, 1))
	}
	now = monday.Add(time.Hour)
	s.exec(`update shop.customers set birth_date = '1990-11-25' where id = 2`)
	s.exec(`update events set data = '{"gate": "staff"}' where id = 3`)
	h := s.serve(false)
	if m := s.hear(h); m.To.Addr != "budi1@mail.example" {
		t.Error(m.To.Addr)
	}
	if got := s.settled(2)[0]; got.State != "skipped: no longer eligible" {
		t.Errorf("%+v", got)
	}
	s.addsUp()
}

func TestTriggeredIsNotRunByHand(t *testing.T) {
	t.Parallel()
	s := club(t)
	_, _, err := s.planner.Start(t.Context(), campaign.Start{Campaign: "checkin", Actor: "ani"})
	if !errors.Is(err, campaign.ErrTriggered) || err.Error() != "checkin goes when the event check_in comes, and is not run by hand; send one: sapa event check_in --customer KEY" {
		t.Error(err)
	}
}

var _ delivery.Library = (*campaign.Library)(nil)

func TestWhyTriggered(t *testing.T) {
	t.Parallel()
	s := club(t)
	ask := func(key string) (gets bool, schedule, preview string) {
		t.Helper()
		w, err := s.planner.Why(t.Context(), "checkin", key, time.Time{})
		s.must(err)
		for _, c := range w.Checks {
			if c.Name == "schedule" {
				schedule = c.Text
			}
		}
		p, err := s.campaign("checkin").Preview(t.Context(), s.pool, key, time.Time{}, s.now(), "http://127.0.0.1:9")
		s.must(err)
		return w.Gets, schedule, p.Message.Subject
	}
	gets, schedule, subject := ask("1")
	if !gets || schedule != "goes when the event check_in comes: asked as if it came now, with an example of what sapa.yaml declares, since none of theirs is known" ||
		subject != "gate 1 check_in 2026 Budi 1" {
		t.Errorf("%v %s\n%s", gets, schedule, subject)
	}
	s.event(checkIn("1", `{"gate": "staff", "amount": 3}`))
	gets, schedule, subject = ask("1")
	if gets || schedule != "goes when the event check_in comes: asked as if it came now, with the data of their last one, event 1 of 2026-11-23 09:00" ||
		subject != "staff 3 check_in 2026 Budi 1" {
		t.Errorf("%v %s\n%s", gets, schedule, subject)
	}
}

// campaign is the checked file of the campaign that was applied.
func (s *shop) campaign(name string) *campaign.Campaign {
	s.t.Helper()
	var source string
	s.must(s.pool.QueryRow(s.t.Context(), `select v.source from campaigns c join versions v on v.id = c.version_id where c.name = $1`, name).Scan(&source))
	c, problems := campaign.Check("campaigns/"+name+".yaml", source, nil, s.schema, s.library.Base())
	s.must(problems.Err())
	return c
}
