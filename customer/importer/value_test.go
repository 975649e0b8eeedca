package importer

import (
	"fmt"
	"testing"
)

func TestValues(t *testing.T) {
	t.Parallel()
	tests := []struct {
		spec, value, want string // as COPY reads it, or "! reason"
	}{
		{"text", " a\tb\\c\r\n", ` a\tb\\c\r\n`},
		{"boolean", "Yes", "t"},
		{"boolean", "0", "f"},
		{"boolean", "maybe", "! neither true nor false"},
		{"bigint", "-12", "-12"},
		{"bigint", "007", "007"},
		{"bigint", "9223372036854775807", "9223372036854775807"},
		{"bigint", "9223372036854775808", "! too large for a whole number (bigint)"},
		{"bigint", "-9,223,372,036,854,775,809", "! too large for a whole number (bigint)"},
		{"bigint", "1.5", "! not a whole number"},
		{"bigint", "1,500", "1500"},
		{"bigint:1.234,56", "1,500", "! not a whole number"},
		{"bigint:1.234,56", "1.500", "1500"},
		{"numeric", "abc", "! not a number"},
		{"numeric", "1.234,5", "! not a number written like 1,234.56"},
		{"numeric:1.234,56", "1.234,5", "1234.5"},
		{"numeric:1.234,56", "1,234.5", "! not a number written like 1.234,56"},
		{"numeric:1 234,56", "1 234,5", "1234.5"},
		{"numeric", "$90,000 ", "90000"},
		{"numeric", "($5.25)", "-5.25"},
		{"date:MM/DD/YYYY", "04/08/1900", "1900-04-08"},
		{"date:MM/DD/YYYY", "4/8/0900", "0900-04-08"},
		{"date:DD/MM/YYYY", "04/08/1900", "1900-08-04"},
		{"date:MM/DD/YYYY", "04-08-1900", "! not a date written MM/DD/YYYY"},
		{"date:MM/DD/YYYY", "02/29/2021", "! no such day: year 2021, month 2, day 29"},
		{"date:MM/DD/YYYY", "02/29/2024", "2024-02-29"},
		{"date:MM/DD/YYYY", "13/02/2024", "! no such day: year 2024, month 13, day 2"},
		{"date:MM-DD-YY,MM/DD/YYYY", "12-05-01", "2001-12-05"},
		{"date:MM-DD-YY", "01-13-47", "1947-01-13"},
		{"date:YY-MM-DD", "21-01-13", "2021-01-13"},
		{"date:YYYY-DD-MM", "2021-13-01", "2021-01-13"},
		{"date:YYYYMMDD", "20210113", "2021-01-13"},
		{"date:YYYYMMDD", "+2021011", "! not a date written YYYYMMDD"},
		{"date:DD MON YYYY", "13 Agustus 2021", "2021-08-13"},
		{"date:YYYY-MM-DD", "2021-01-13 00:00", "2021-01-13"},
		{"date:YYYY-MM-DD", "2021-01-13 08:00", "! has a time, which a date can't keep"},
		{"timestamp:YYYY-MM-DD", "2021-01-13 08:00:05.5", "2021-01-13 08:00:05.5"},
		{"timestamp:YYYY-MM-DD", "2021-01-13", "2021-01-13 00:00:00"},
		{"timestamp:YYYY-MM-DD", "2021-01-13 08:00Z", "! has a time zone, which a timestamp can't keep"},
		{"timestamptz:YYYY-MM-DD", "2021-01-13 08:00-03:30", "2021-01-13 08:00:00-03:30"},
		{"timestamptz:YYYY-MM-DD", "2021-01-13 08:00", "2021-01-13 08:00:00+00:00"},
	}
	for _, test := range tests {
		plan, err := inspect(t, "a,b\n,x\n", Options{Types: []string{"a=" + test.spec}})
		if err != nil {
			t.Fatal(err)
		}
		out, reason := plan.Columns[0].appendValue(nil, []byte(test.value))
		got := string(out)
		if reason != "" {
			got = "! " + reason
		}
		if got != test.want {
			t.Errorf("%q as %s is %q, want %q", test.value, test.spec, got, test.want)
		}
	}
}

// Two-digit years of births are never ahead.
func TestBirthsAreNotAhead(t *testing.T) {
	t.Parallel()
	plan, err := inspect(t, "BirthDate,Due\n01/13/30,01/13/30\n", Options{})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, c := range plan.Columns {
		out, reason := c.appendValue(nil, []byte("01/13/30"))
		got = append(got, string(out)+reason)
	}
	if fmt.Sprint(got) != "[1930-01-13 2030-01-13]" {
		t.Errorf("%v", got)
	}
}
