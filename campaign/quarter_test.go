package campaign_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const oilChange = `
campaign: oil-change
audience:
  each: customer.vehicles as vehicle
  where: vehicle.next_service_on >= today() && vehicle.next_service_on <= today() + days(14)
  occasion: [vehicle.id, vehicle.next_service_on]
  merge: customer
schedule: {cron: "0 8 * * *"}
content:
  email: {subject: "{{ customer.id }}: {{ vehicles | map: 'plate' | join: ', ' }}", text: Halo}
`

// car is a vehicle as the model knows it; due is the days since the quarter began.
type car struct {
	id, owner, due int
}

// garage is the model: what the company's tables hold, and who was reminded of what.
type garage struct {
	t        *testing.T
	s        *shop
	rng      *rand.Rand
	day      int
	begin    time.Time
	cars     map[int]*car
	reminded map[[3]int]bool // owner, car, due
	expected []string
}

func (g *garage) date(day int) string { return g.begin.AddDate(0, 0, day).Format(time.DateOnly) }

// put writes a car as it is now.
func (g *garage) put(c *car) {
	g.t.Helper()
	g.cars[c.id] = c
	g.s.exec(`insert into crm.vehicles (id, customer_id, plate, next_service_on) values ($1::bigint, $2, 'H' || $1::bigint, $3::text::date)
		on conflict (id) do update set customer_id = excluded.customer_id, next_service_on = excluded.next_service_on`, c.id, c.owner, g.date(c.due))
}

// live is what happens in the workshop between two mornings.
func (g *garage) live() {
	g.t.Helper()
	for range 6 {
		c := g.any()
		switch g.rng.IntN(6) {
		case 0: // the due date is corrected, perhaps to a day that it had before
			c.due += g.rng.IntN(15) - 7
		case 1: // the oil was changed
			c.due = g.day + 30 + g.rng.IntN(60)
		case 2: // sold to another customer
			c.owner = 1 + g.rng.IntN(people)
		case 3: // a new car
			c = &car{id: len(g.cars) + 1, owner: 1 + g.rng.IntN(people), due: g.day + g.rng.IntN(40)}
		case 4: // bought by somebody who then has several
			c.owner = 1 + g.rng.IntN(3)
		case 5: // nothing
			continue
		}
		g.put(c)
	}
}

const people = 8

func (g *garage) any() *car { return g.cars[1+g.rng.IntN(len(g.cars))] }

// oneOf chooses a car that is due; nil when none is.
func (g *garage) oneOf(due map[int][]*car) *car {
	for owner := 1; owner <= people; owner++ {
		if cars := due[owner]; len(cars) > 0 {
			return cars[g.rng.IntN(len(cars))]
		}
	}
	return nil
}

func (g *garage) hand(c *car, owner int) {
	g.t.Helper()
	c.owner = owner
	g.put(c)
}

// morning is whom the campaign means today: by customer, the cars that are due and whose date they were not reminded of.
func (g *garage) morning() map[int][]*car {
	due := map[int][]*car{}
	for id := 1; id <= len(g.cars); id++ {
		c := g.cars[id]
		if c.due >= g.day && c.due <= g.day+14 && !g.reminded[[3]int{c.owner, c.id, c.due}] {
			due[c.owner] = append(due[c.owner], c)
		}
	}
	return due
}

// send notes whom the mails of today go to. Between planning and sending one car may have gone to another owner: it is
// not named to the one before, who gets nothing when it was the only one.
func (g *garage) send(due map[int][]*car, sold *car, seller int) {
	for owner, cars := range due {
		var plates []string
		for _, c := range cars {
			gone := sold != nil && c.id == sold.id && owner == seller
			if !gone {
				plates = append(plates, fmt.Sprintf("H%d", c.id))
			}
			if !gone || len(cars) > 1 { // a message that went has spent all of its occasions; one that did not, none
				g.reminded[[3]int{owner, c.id, c.due}] = true
			}
		}
		if len(plates) > 0 {
			slices.Sort(plates)
			g.expected = append(g.expected, fmt.Sprintf("%s %d: %s", g.date(g.day), owner, strings.Join(plates, ", ")))
		}
	}
}

// A quarter of a workshop, morning by morning: due dates are corrected, oil is changed, cars are bought and sold, also in
// the minutes between planning and sending. Each mail names exactly the cars that its customer has to bring in and was
// not reminded of, whatever happened to them before.
func TestQuarterOfOilChanges(t *testing.T) {
	t.Parallel()
	s, clock := setupClock(t, "2026-10-01T07:00+07:00")
	g := &garage{
		t: t, s: s, rng: rand.New(rand.NewPCG(20261001, 7)), begin: time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC),
		cars: map[int]*car{}, reminded: map[[3]int]bool{},
	}
	s.exec(`insert into crm.customers (id, first_name, email) select n, 'Budi', 'budi' || n || '@mail.example' from generate_series(1, $1) n`, people)
	for id := 1; id <= 30; id++ {
		g.put(&car{id: id, owner: 1 + g.rng.IntN(people), due: g.rng.IntN(40)})
	}
	s.apply("oil-change", oilChange, nil)
	merged := 0
	for ; g.day < 92; g.day++ {
		clock.set(t, g.date(g.day)+"T08:00+07:00")
		due := g.morning()
		s.ticks()
		s.planScheduled()
		var sold *car
		var seller int
		if g.day%3 == 0 { // a car that is due is sold at the worst moment
			if sold = g.oneOf(due); sold != nil {
				seller = sold.owner
				g.hand(sold, 1+seller%people)
			}
		}
		s.runEngine(func() bool { return s.nextDue().IsZero() })
		g.send(due, sold, seller)
		if sold != nil && g.day%2 == 0 { // and bought back
			g.hand(sold, seller)
		}
		for _, cars := range due {
			merged += min(len(cars)-1, 1)
		}
		g.live()
	}
	slices.Sort(g.expected)
	if d := cmp.Diff(g.expected, s.subjects()); d != "" {
		t.Error(d)
	}
	if merged < 10 || len(g.expected) < 60 {
		t.Errorf("%d mails, %d of them for several cars: too little happened", len(g.expected), merged)
	}
	if n := s.number(`select count(*) from occasions o join messages m on m.id = o.message_id where m.state = 'sent' and not o.spent`); n > 0 {
		t.Errorf("%d occasions of mails that went are not spent", n)
	}
	s.addsUp()
}

// subjects are the day and subject of every mail that came.
func (s *shop) subjects() (list []string) {
	s.t.Helper()
	jakarta, err := time.LoadLocation("Asia/Jakarta")
	s.must(err)
	for raw, err := range s.mail.EachRaw() {
		s.must(err)
		m, err := mail.ReadMessage(bytes.NewReader(raw))
		s.must(err)
		at, err := m.Header.Date()
		s.must(err)
		key, plates, _ := strings.Cut(m.Header.Get("Subject"), ": ")
		cars := strings.Split(plates, ", ")
		slices.Sort(cars)
		list = append(list, at.In(jakarta).Format(time.DateOnly)+" "+key+": "+strings.Join(cars, ", "))
	}
	slices.Sort(list)
	return list
}
