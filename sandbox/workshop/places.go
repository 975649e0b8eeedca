package workshop

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// place is where letters reach a customer, and by which channel they would rather be reached; a nil is a missing value.
type place struct{ street, postcode, preferred *string }

// place has dice of its own, so that it changes nothing else of the customer.
func (w *world) place(p person) place {
	r := w.dice(dicePlace, p.id)
	streets := []string{
		"Pemuda", "Diponegoro", "Gajah Mada", "Ahmad Yani", "Sudirman", "Pahlawan", "Imam Bonjol", "Kartini", "Melati", "Kenanga",
		"Mawar", "Merdeka", "Veteran", "Hasanuddin", "Pandanaran", "Sriwijaya",
	}
	street := fmt.Sprintf("Jl. %s No. %d", pick(r, streets), r.IntN(180)+1)
	if r.IntN(4) == 0 {
		street += fmt.Sprintf(" RT %02d/RW %02d", r.IntN(9)+1, r.IntN(9)+1)
	}
	at := place{street: maybe(r, street), postcode: maybe(r, fmt.Sprintf("%d", 10_000+len(p.home.name)*3_571+r.IntN(900)))}
	switch r.IntN(40) {
	case 0:
		at.preferred = new("letter")
	case 1, 2:
		at.preferred = new("sms")
	}
	return at
}

// flowers is a bunch that one customer in forty ordered in the week before the last Mother's Day: in Indonesia, 22 December.
func (w *world) flowers(customer int64) (at time.Time, total int64, ordered bool) {
	r := w.dice(diceFlowers, customer)
	if r.IntN(40) > 0 && customer != 1 {
		return at, 0, false
	}
	day := time.Date(w.Today.Year(), 12, 22, 0, 0, 0, 0, time.UTC)
	if !day.Before(w.Today) {
		day = day.AddDate(-1, 0, 0)
	}
	return day.AddDate(0, 0, -1-r.IntN(6)).Add(openingTime(r)), bouquet(r), true
}

// bouquet is a price in steps of 25,000 rupiah.
func bouquet(r *rand.Rand) int64 { return 150_000 + int64(r.IntN(20))*25_000 }
