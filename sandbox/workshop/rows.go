package workshop

import (
	"fmt"
	"iter"
	"math/rand/v2"
	"time"
)

// Rows are yielded in the order of the columns that Create names.

func (w *world) customers() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for id := int64(1); id <= int64(w.Customers); id++ {
			p := w.person(id)
			at := w.place(p)
			if !yield([]any{
				p.id, p.full, p.first, p.email, p.phone, at.street, at.postcode, p.born, p.city, p.income, p.newsletter, p.premium, p.tags, p.zone,
				at.preferred, p.created, p.deleted,
			}) {
				return
			}
		}
	}
}

// vehicle is a row of vehicles, and what its services are made from.
type vehicle struct {
	id, owner  int64
	plate      string
	model      car
	year       int
	km         *int
	next, last *time.Time
	dice       *rand.Rand
}

// serviceDays is how long an oil change lasts.
const serviceDays = 180

// owner gives most customers one vehicle, and the rest of the vehicles to anybody, so that some have several and some
// none. The first three vehicles belong to the cast.
func (w *world) owner(id int64, r *rand.Rand) int64 {
	n := int64(w.Customers)
	switch {
	case id <= 2:
		return 1
	case id == 3:
		return min(2, n)
	case id <= n*85/100:
		return id*w.stride%n + 1
	}
	return r.Int64N(n) + 1
}

func (w *world) vehicle(id int64) vehicle {
	r := w.dice(diceVehicle, id)
	v := vehicle{id: id, owner: w.owner(id, r), model: pick(r, w.cars), dice: r}
	v.plate = plate(r, w.person(v.owner).home.plate, id)
	age := r.IntN(16)
	next := w.Today.AddDate(0, 0, r.IntN(serviceDays+60)-59) // some are long overdue
	if id <= 3 {
		next = w.Today.AddDate(0, 0, int(3*id))
	}
	last := next.AddDate(0, 0, -serviceDays)
	v.last = &last
	v.year = min(w.Today.Year()-age, last.Year())
	if !missing(r) || id <= 3 {
		v.next = &next
	}
	v.km = maybe(r, age*9_000+r.IntN(20_000)+1_500)
	return v
}

// plate is a registration number of the region: its letters, a number and a series. The id makes it unique: number and
// series together count up to 87 million.
func plate(r *rand.Rand, region string, id int64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
	number, series := id*7919%8999+1000, id/8999 // 8999 is prime, so a series has each number once
	text := string(letters[r.IntN(26)])
	for range 2 {
		text += string(letters[series%26])
		series /= 26
	}
	return fmt.Sprintf("%s %d %s", region, number, text)
}

func (w *world) vehicles() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		for id := int64(1); id <= int64(w.Vehicles); id++ {
			v := w.vehicle(id)
			if !yield([]any{v.id, v.owner, v.plate, v.model.brand, v.model.model, v.year, v.km, v.next, v.last}) {
				return
			}
		}
	}
}

// services are each vehicle's oil changes back from the last one, and other work on some of those days.
func (w *world) services() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		id := int64(0)
		for vehicle := int64(1); vehicle <= int64(w.Vehicles); vehicle++ {
			v := w.vehicle(vehicle)
			day := *v.last
			for range 1 + v.dice.IntN(4) {
				work := w.works[0]
				if v.dice.IntN(3) == 0 {
					work = pick(v.dice, w.works)
				}
				id++
				if !yield([]any{id, v.id, v.owner, work.kind, day, price(v.dice, work)}) {
					return
				}
				day = day.AddDate(0, 0, -serviceDays-v.dice.IntN(30))
				if day.Year() < v.year {
					break
				}
			}
		}
	}
}

// orders are what customers bought in the last three years; spenders buy more often and dearer.
func (w *world) orders() iter.Seq[[]any] {
	return func(yield func([]any) bool) {
		id := int64(0)
		for customer := int64(1); customer <= int64(w.Customers); customer++ {
			r := w.dice(diceOrders, customer)
			spender := w.person(customer).spender
			n := r.IntN(5)
			if spender {
				n += 4
			}
			for range n {
				id++
				if !yield(w.order(r, id, customer, spender)) {
					return
				}
			}
			if at, total, ordered := w.flowers(customer); ordered {
				id++
				if !yield([]any{id, customer, at, "flowers", total}) {
					return
				}
			}
		}
	}
}

func (w *world) order(r *rand.Rand, id, customer int64, spender bool) []any {
	work, days := pick(r, w.works), r.IntN(3*365)
	total := price(r, work)
	if spender {
		days, total = r.IntN(365), total*2
	}
	at := w.Today.AddDate(0, 0, -1-days).Add(openingTime(r))
	return []any{id, customer, at, maybe(r, work.kind), total}
}

// price is within the work's range, in steps of 5,000 rupiah.
func price(r *rand.Rand, w work) int64 { return w.low + r.Int64N((w.high-w.low)/5_000+1)*5_000 }
