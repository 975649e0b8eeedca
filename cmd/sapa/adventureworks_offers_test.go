package main

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/sapa-crm/sapa/sandbox"
)

const withoutHelmet = `
	with bought as (
		select s.customer_key, s.sales, u.subcategory_name, g.category_name
		from data.sales s
		left join data.products p on p.product_key = s.product_key
		left join data.subcategories u on u.product_subcategory_key = p.product_subcategory_key
		left join data.categories g on g.product_category_key = u.product_category_key
	)
	select customer_key::text from bought group by customer_key
	having sum(sales) > 2500 and count(*) filter (where category_name = 'Bikes') > 0
	and count(*) filter (where subcategory_name = 'Helmets') = 0`

const spentIn2023 = `
	select customer_key::text from data.sales where extract(year from order_date) = 2023 group by 1 having sum(sales) > 2000`

func helmetOffer(p person) written {
	name := capital(p.First)
	return written{
		p.First, p.Mail, name + ", a helmet for your ride",
		"A helmet for your ride\n\nHello " + name + ", your bike deserves a rider in one piece. For good customers like you, every " +
			"helmet is 15 % off this month.\n\nSee the helmets: CLICK\n\nNo more offers, please: UNSUBSCRIBE",
		"Hello " + name,
	}
}

func clubInvitation(p person) written {
	name := capital(p.Prefix) + " " + capital(p.Last)
	if p.Prefix == "" {
		name = capital(p.First) + " " + capital(p.Last)
	}
	return written{
		p.First, p.Mail, capital(p.First) + ", you are invited to the Premium Club",
		"You are invited\n\nDear " + name + ", few people trusted us with as much in 2023 as you did. The Premium Club thanks you " +
			"with free repairs for a year.\n\nJoin the club: CLICK\n\nNo more offers, please: UNSUBSCRIBE",
		"Dear " + name,
	}
}

// TestAdventureWorksOffers runs two campaigns of one topic over customers and sales.
func TestAdventureWorksOffers(t *testing.T) {
	t.Parallel()
	b := newBikes(t)
	b.ok("apply")
	b.servePublic()
	b.ok("run", "helmet")
	helmets := b.letters("a helmet for your ride")
	b.audience(1, helmets, withoutHelmet)
	b.each(helmets, helmetOffer)

	club := b.texts(spentIn2023)
	left, lost := b.inClub(helmets, club, 0), b.inClub(helmets, club, 1)
	b.fetch(http.MethodPost, helmets[left].Links()[1], browser, url.Values{"scope": {"topic"}})
	b.exec(`insert into sapa.suppressions (channel, hash, reason, source) select 'email', hash, 'complaint', 'test' from sapa.addresses where raw = $1`, lost)
	printed := b.ok("run", "club")
	if want := "skipped 2\n  skipped, no consent: 1\n  skipped, suppressed: 1\n"; !strings.Contains(printed, want) {
		t.Errorf("run club printed no %q:\n%s", want, printed)
	}
	invited := b.letters("Premium Club")
	b.audience(2, invited, fmt.Sprintf(`select * from (%s) s where customer_key not in ('%d', '%d')`, spentIn2023, b.byMail[left].Key, b.byMail[lost].Key))
	b.each(invited, clubInvitation)
	b.peculiar(invited)
	b.sameAsView(2, b.reported("club", 2))
	b.numbers(b.reported("club", 2), map[string]any{"sent": float64(len(invited)), "skipped": 2.0, "audience": float64(len(club)), "adds_up": true})
	if got, want := b.caught(), len(helmets)+len(invited); got != want || b.mail.Counts().Refused != 0 {
		t.Errorf("%d caught, %d reported, %d refused", got, want, b.mail.Counts().Refused)
	}
	b.want(exitOK, "everything adds up\n", "check")
}

// inClub is the n-th address among the letters whose customer is in the club's audience.
func (b *bikes) inClub(letters map[string]letter, club []string, n int) string {
	b.t.Helper()
	for m := range b.mail.Each(sandbox.Filter{}) {
		if to := m.To[0]; slices.Contains(club, fmt.Sprint(b.byMail[to].Key)) {
			if n--; n < 0 && letters[to].ID == m.ID {
				return to
			}
		}
	}
	b.t.Fatal("nobody is in both audiences")
	return ""
}

// peculiar makes sure that the letters have what is easily got wrong, and follows these customers' links.
func (b *bikes) peculiar(letters map[string]letter) {
	b.t.Helper()
	some := map[string]letter{}
	accents, titles := 0, 0
	for to, l := range letters {
		p := b.byMail[to]
		foreign := strings.ContainsFunc(p.First+p.Last+p.Mail, func(r rune) bool { return r > 127 })
		if foreign {
			accents++
		}
		if p.Prefix == "" {
			titles++
		}
		if foreign || p.Prefix == "" || strings.ContainsAny(p.Last, " -") {
			some[to] = l
		}
	}
	if accents < 5 || titles < 5 {
		b.t.Errorf("only %d with accents and %d without a title were invited", accents, titles)
	}
	b.links(some, func(p person) string {
		return fmt.Sprintf("https://adventure-works.example/club?customer=%d&name=%s", p.Key, url.QueryEscape(capital(p.Last)))
	})
}
