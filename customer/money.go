package customer

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
)

// Money is an amount in a currency: what a message costs, what a run may cost.
type Money struct {
	Amount   string // decimal, exact, without superfluous zeros: 350, 0.0079
	Currency string // ISO 4217
}

// MoneyForm is the form of money in files.
const MoneyForm = `^[0-9][0-9_]{0,14}(\.[0-9]{1,6})? [A-Z]{3}$`

var (
	moneyForm      = regexp.MustCompile(MoneyForm)
	moneyThousands = regexp.MustCompile(`^[0-9]{1,3}([.,][0-9]{3})+ `)
)

// UnmarshalScalar reads 350 IDR or 0.0079 USD. What may be one and a half or fifteen hundred is refused.
func (m *Money) UnmarshalScalar(text string) error {
	const expected = `expected an amount and a currency, such as "350 IDR" or "0.0079 USD"`
	switch {
	case moneyThousands.MatchString(text) && !strings.HasPrefix(text, "0."):
		return errors.New("expected an amount without separators of thousands: write 1500 or 1_500; and 1.5 for one and a half")
	case !moneyForm.MatchString(text):
		return errors.New(expected)
	}
	amount, currency, _ := strings.Cut(strings.ReplaceAll(text, "_", ""), " ")
	r, ok := new(big.Rat).SetString(amount)
	if !ok {
		return errors.New(expected)
	}
	*m = Money{Amount: exactly(r), Currency: currency}
	return nil
}

// String is the money as it is written: 350 IDR.
func (m Money) String() string { return m.Amount + " " + m.Currency }

// IsZero says that no amount is given.
func (m Money) IsZero() bool { return m.Currency == "" }

// exactly writes a number that has six decimals at most.
func exactly(r *big.Rat) string {
	text := r.FloatString(6)
	return strings.TrimSuffix(strings.TrimRight(text, "0"), ".")
}

// preference checks the column that says which channel a customer prefers.
func (r *resolver) preference(t *catalogTable, column string) {
	r.column(customersPath+".preferred_channel", t, column, Text, Enum)
}

// Costs are what a message by each channel costs by its settings; channels of which they say nothing are missing.
func (c *ChannelsConfig) Costs() map[string]Money {
	var costs map[string]Money
	add := func(channel string, cost Money) {
		if cost.IsZero() {
			return
		}
		if costs == nil {
			costs = map[string]Money{}
		}
		costs[channel] = cost
	}
	if c.Email != nil {
		add("email", c.Email.Cost)
	}
	if c.SMS != nil {
		add("sms", c.SMS.Cost)
	}
	if c.WhatsApp != nil {
		add("whatsapp", c.WhatsApp.Cost)
	}
	if c.Voice != nil {
		add("voice", c.Voice.Cost)
	}
	if c.Letter != nil {
		add("letter", c.Letter.Cost)
	}
	if c.Calls != nil {
		add("calls", c.Calls.Cost)
	}
	if c.Webhook != nil {
		add("webhook", c.Webhook.Cost)
	}
	return costs
}
