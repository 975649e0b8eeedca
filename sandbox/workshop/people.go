package workshop

import (
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"time"
)

// world makes the rows. Each row is a function of the seed and its id alone, so that nothing is kept in memory.
type world struct {
	Config
	names  names
	cities []city
	cars   []car
	works  []work
	stride int64 // see owner
}

func newWorld(c Config) *world {
	w := &world{Config: c, names: newNames(), cities: newCities(), cars: newCars(), works: newWorks()}
	n := int64(c.Customers)
	for w.stride = n*618/1000 + 1; gcd(w.stride, n) != 1; {
		w.stride++
	}
	return w
}

func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// The kinds of rows, which have dice of their own.
const (
	diceCustomer = iota + 1
	diceVehicle
	diceOrders
	dicePlace
	diceFlowers
)

func (w *world) dice(kind int, id int64) *rand.Rand {
	return rand.New(rand.NewPCG(w.Seed<<8|uint64(kind), uint64(id)))
}

// person is a row of customers; a nil is a missing value.
type person struct {
	id                  int64
	full                string
	first, email, phone *string
	born                *time.Time
	home                city
	city, zone          *string
	income              *int64
	newsletter, premium *bool
	tags                []string
	created             time.Time
	deleted             *time.Time
	spender             bool // orders more and dearer things than others
}

// missing is one value in ten.
func missing(r *rand.Rand) bool { return r.IntN(10) == 0 }

// maybe is the value, or nothing in one case of ten.
func maybe[T any](r *rand.Rand, v T) *T {
	if missing(r) {
		return nil
	}
	return &v
}

func pick[T any](r *rand.Rand, list []T) T { return list[r.IntN(len(list))] }

func (w *world) person(id int64) person {
	r := w.dice(diceCustomer, id)
	p := person{id: id, home: w.city(r)}
	var first string
	first, p.full = w.name(r)
	p.first = maybe(r, first)
	p.city = maybe(r, p.home.name)
	p.zone = maybe(r, p.home.zone)
	p.phone = maybe(r, phone(r, id))
	p.born = maybe(r, w.birthDate(r))
	p.income = maybe(r, income(r))
	p.newsletter = maybe(r, r.IntN(9) > 0)
	p.spender = r.IntN(100) < 6
	p.premium = maybe(r, r.IntN(100) < 12)
	if !missing(r) {
		p.tags = tags(r, p.spender)
	}
	p.created = w.Today.AddDate(0, 0, -1-r.IntN(8*365)).Add(openingTime(r))
	if r.IntN(100) < 2 {
		days := int(w.Today.Sub(p.created).Hours() / 24)
		deleted := p.created.AddDate(0, 0, r.IntN(days+1))
		p.deleted = &deleted
	}
	p.email = maybe(r, w.address(r, id, p.full))
	w.soil(&p)
	w.cast(&p)
	return p
}

// city draws one by weight.
func (w *world) city(r *rand.Rand) city {
	total := 0
	for _, c := range w.cities {
		total += c.weight
	}
	n := r.IntN(total)
	for _, c := range w.cities {
		if n -= c.weight; n < 0 {
			return c
		}
	}
	return w.cities[0]
}

// name draws the name a person is called by, and the full name.
func (w *world) name(r *rand.Rand) (first, full string) {
	given := w.names.men
	if r.IntN(2) == 0 {
		given = w.names.women
	}
	first = pick(r, given)
	switch n := r.IntN(100); {
	case n < 14:
		first = pick(r, w.names.single)
		full = first
	case n < 34:
		full = first + " " + pick(r, given) + " " + pick(r, w.names.second)
	default:
		full = first + " " + pick(r, w.names.second)
	}
	if r.IntN(30) == 0 {
		return strings.ToUpper(first), strings.ToUpper(full)
	}
	return first, full
}

// birthDate draws a date that makes the person 18 to 75 years old.
func (w *world) birthDate(r *rand.Rand) time.Time {
	youngest := w.Today.AddDate(-18, 0, 0)
	days := int(youngest.Sub(w.Today.AddDate(-75, 0, 0)).Hours() / 24)
	return youngest.AddDate(0, 0, -r.IntN(days))
}

// income is a month's, in rupiah: most near 6 million, few far above.
func income(r *rand.Rand) int64 {
	v := 6e6 * math.Exp(0.65*r.NormFloat64())
	return int64(math.Round(min(max(v, 1.5e6), 250e6)/50_000)) * 50_000
}

func tags(r *rand.Rand, spender bool) []string {
	list := []string{}
	for _, tag := range []string{"club", "online", "referral", "fleet"} {
		if r.IntN(8) == 0 {
			list = append(list, tag)
		}
	}
	if spender && r.IntN(3) == 0 {
		list = append(list, "vip")
	}
	return list
}

// phone is a mobile number with four zeros behind its prefix, which no network gives out, as people write numbers.
func phone(r *rand.Rand, id int64) string {
	prefixes := []int{811, 812, 813, 821, 822, 852, 853, 814, 815, 816, 855, 856, 857, 858, 817, 818, 819, 859, 877, 878, 895, 896, 897, 898}
	n := int64(len(prefixes))
	prefix, last := prefixes[id%n], id/n%10_000
	switch style := r.IntN(20); {
	case style < 12:
		return fmt.Sprintf("+62 %d-0000-%04d", prefix, last)
	case style < 17:
		return fmt.Sprintf("0%d0000%04d", prefix, last)
	case style < 19:
		return fmt.Sprintf("62%d0000%04d", prefix, last)
	default:
		return fmt.Sprintf("0%d.0000.%04d", prefix, last)
	}
}

// address is an e-mail address in a domain that nobody can own (RFC 2606); the id makes it unique.
func (w *world) address(r *rand.Rand, id int64, full string) string {
	domain := pick(r, []string{"surel.example", "surel.example", "pos.example", "kantor.example", "warga.example"})
	words := strings.Fields(strings.ToLower(full))
	first, last := words[0], words[len(words)-1]
	switch n := r.IntN(4); {
	case len(words) == 1:
		return fmt.Sprintf("%s%d@%s", first, id, domain)
	case n == 0:
		return fmt.Sprintf("%s%s%d@%s", first[:1], last, id, domain)
	case n == 1:
		return fmt.Sprintf("%s_%d@%s", first, id, domain)
	default:
		return fmt.Sprintf("%s.%s%d@%s", first, last, id, domain)
	}
}

func openingTime(r *rand.Rand) time.Duration {
	// 08:00 to 17:00 in Jakarta, in UTC.
	return time.Hour + time.Duration(r.IntN(9*60))*time.Minute
}

// soil makes the mistakes that every customer file has. Some people are not reachable at the address that they gave:
// the sandbox refuses +bounce for good.
func (w *world) soil(p *person) {
	if p.id%500 == 17 {
		p.zone = new("WIB")
	}
	if p.email == nil {
		return
	}
	local, domain, _ := strings.Cut(*p.email, "@")
	switch {
	case p.id%500 == 111:
		p.email = new("tidak ada")
	case p.id%500 == 211:
		p.email = new(local + "@@" + domain)
	case p.id%500 == 311:
		p.email = new(local + "@")
	case p.id%500 == 411:
		p.email = new("  " + p.full + " <" + *p.email + "> ")
	case p.id%500 == 451:
		p.email = new(local + "@" + strings.ToUpper(domain))
	case p.id%250 == 37:
		p.email = new(fmt.Sprintf("keluarga%d@surel.example", p.id/500)) // a family's, so two rows have it
	case p.id%100 == 53:
		p.email = new(local + "+bounce@" + domain)
	}
}

// cast gives the first customers their parts, so that even a small workshop shows every case on any day.
func (w *world) cast(p *person) {
	if p.id > 10 {
		return
	}
	p.deleted, p.newsletter = nil, new(true)
	p.email = new(fmt.Sprintf("%s%d@surel.example", strings.ToLower(strings.Fields(p.full)[0]), p.id))
	p.born = new(w.Today.AddDate(-32, 0, 0))
	switch p.id {
	case 2:
		p.email = new(strings.Replace(*p.email, "@", "+bounce@", 1))
	case 3:
		p.first = nil
	case 4:
		p.email = nil
	case 5:
		p.born = new(time.Date(1988, 2, 29, 0, 0, 0, 0, time.UTC))
	case 6:
		p.newsletter = new(false)
	case 7:
		p.deleted = new(w.Today.AddDate(0, 0, -1))
	case 8:
		p.zone = new("Asia/Jayapura")
	case 9:
		p.zone = new("Asia/Makassar")
	case 10:
		p.born = new(w.Today.AddDate(-32, 0, 1))
	}
}
