package customer

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestNormaliseMobile(t *testing.T) {
	t.Parallel()
	const jakarta = "+6281234567890"
	for _, test := range []struct{ raw, region, want, kind, reason string }{
		{"+62 812-3456-7890", "ID", jakarta, "mobile", ""},
		{"+62 812-3456-7890", "", jakarta, "mobile", ""},
		{"+62 812-3456-7890", "US", jakarta, "mobile", ""},
		{"081234567890", "ID", jakarta, "mobile", ""},
		{"0812 3456 7890", "id ", jakarta, "mobile", ""},
		{"(0812) 3456.7890", "ID", jakarta, "mobile", ""},
		{"81234567890", "ID", jakarta, "mobile", ""},          // a spreadsheet dropped the zero
		{"6281234567890", "ID", jakarta, "mobile", ""},        // no +
		{"006281234567890", "ID", jakarta, "mobile", ""},      // 00 for +
		{"00 62 812 3456 7890", "US", jakarta, "mobile", ""},  // … also where it is not dialled
		{"00 62 812 3456 7890", "", jakarta, "mobile", ""},    // … and where nothing is known
		{"01162 812 3456 7890", "US", jakarta, "mobile", ""},  // the country's own international prefix
		{"+62 (0) 812 34567890", "ID", jakarta, "mobile", ""}, // both country code and zero
		{"tel:+6281234567890", "ID", jakarta, "mobile", ""},
		{"'081234567890", "ID", jakarta, "mobile", ""},            // a spreadsheet's mark for text
		{"081234567890.0", "ID", jakarta, "mobile", ""},           // … and for a number
		{"\u202a081234567890\u202c", "ID", jakarta, "mobile", ""}, // copied from an address book
		{"０８１２３４５６７８９０", "ID", jakarta, "mobile", ""},
		{"62811234567", "ID", "+62811234567", "mobile", ""}, // and no fixed line +6262811234567
		{"9123456789", "IN", "+919123456789", "mobile", ""}, // begins like India's country code and is a whole number
		{"+1 415 555 2671", "", "+14155552671", "fixed or mobile", ""},
		{"+54 9 11 2345-6789", "", "+5491123456789", "mobile", ""},
		{"011 15 2345-6789", "AR", "+5491123456789", "mobile", ""},

		{"", "ID", "", "", "empty"},
		{" \u200e ", "ID", "", "", "empty"},
		{"\xff0812", "ID", "", "", "not valid text"},
		{"-", "ID", "", "", "not a number"},
		{"ask his wife", "ID", "", "", "not a number"},
		{"0812#34567890", "ID", "", "", "not a number"},
		{"0812+34567890", "ID", "", "", "not a number"},
		{"6.2812E+11", "ID", "", "", "rounded by a spreadsheet"},
		{"6,2812E+11", "ID", "", "", "rounded by a spreadsheet"},
		{"081234567890 (Budi)", "ID", "", "", "letters in the number"},
		{"081234567890 ext 12", "ID", "", "", "letters in the number"},
		{"081234567890 / 081234567891", "ID", "", "", "more than one number"},
		{"081234567890, 081234567891", "ID", "", "", "more than one number"},
		{"081234567890", "", "", "", "no country code"},
		{"081234567890", "Indonesia", "", "", "no country code"},
		{"+999 812 34567890", "ID", "", "", "no country code"},
		{"112", "ID", "", "", "too few digits"},
		{"+62 812", "ID", "", "", "too few digits"},
		{"0812-3456-7890-1234-5678", "ID", "", "", "too many digits"},
		{"0000000000", "ID", "", "", "not a number"},
		{"245-555-0173", "US", "", "", "no such number"}, // no area code 245
		{"021 5551234", "ID", "", "fixed", "not a mobile number"},
		{"62 21 5551234", "ID", "", "fixed", "not a mobile number"},
		{"0800 123 4567", "ID", "", "toll free", "not a mobile number"},
		{"1 (11) 500 555-0162", "US", "", "", "no such number"},
		{"1 (11) 500 555-0162", "AU", "", "", "too many digits"},
		{"1 (11) 500 555-0162", "DE", "", "", "no such number"},
		{"1 (11) 500 555-0162", "", "", "", "no country code"},
		{"500 555-0162", "US", "", "personal", "not a mobile number"},
	} {
		want := Address{Normalised: test.want, Kind: test.kind, Reason: test.reason}
		if diff := cmp.Diff(want, NormaliseMobile(test.raw, test.region)); diff != "" {
			t.Errorf("%q in %q (-want +got):\n%s", test.raw, test.region, diff)
		}
	}
}

// A landline is a number for those who may ask for any.
func TestNormalisePhoneTakesAnyKind(t *testing.T) {
	t.Parallel()
	got := NormalisePhone("(021) 555-1234", "ID")
	if diff := cmp.Diff(Address{Normalised: "+62215551234", Kind: "fixed"}, got); diff != "" {
		t.Error(diff)
	}
}

// The numbers of AdventureWorks are made up, and the rules of their countries show it.
func TestAdventureWorksPhones(t *testing.T) {
	t.Parallel()
	numbers := adventureWorksPhones(t)
	for region, want := range map[string]map[string]int{
		"US": {"no such number": 14064, "not a mobile number": 202, "usable": 3882},
		"AU": {"no such number": 9286, "too many digits": 8862},
		"":   {"no country code": 18148},
	} {
		got := map[string]int{}
		for _, raw := range numbers {
			a := NormaliseMobile(raw, region)
			if strings.HasPrefix(raw, "1 (11)") && a.Usable() {
				t.Fatalf("%s in %q became %s", raw, region, a.Normalised)
			}
			got[firstWord(a.Reason, "usable")]++
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%d numbers read as of %q (-want +got):\n%s", len(numbers), region, diff)
		}
	}
}

func firstWord(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// adventureWorksPhones are the different numbers of the sample, which is no part of the repository.
func adventureWorksPhones(t *testing.T) []string {
	t.Helper()
	shared := os.Getenv("SAPA_SHARED")
	if shared == "" {
		shared = "../../shared"
	}
	f, err := os.Open(filepath.Join(shared, "data", "adventureworks", "AdventureWorks_Phones.csv"))
	if err != nil {
		t.Skipf("no AdventureWorks files: %v", err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	var numbers []string
	for _, row := range rows[1:] {
		numbers = append(numbers, row[1])
	}
	return numbers
}

// Whatever is read is E.164, and reading it again changes nothing.
func FuzzNormalisePhone(f *testing.F) {
	for _, seed := range []string{"+62 812-3456-7890", "081234567890", "1 (11) 500 555-0162", "00 44 7911 123456", "6,2E+11", "+", "٠٨١٢٣٤٥٦٧٨٩٠"} {
		f.Add(seed, "ID")
		f.Add(seed, "")
	}
	f.Fuzz(func(t *testing.T, raw, region string) {
		a := NormalisePhone(raw, region)
		if a.Usable() != (a.Normalised != "") {
			t.Fatalf("%q: %+v", raw, a)
		}
		if !a.Usable() {
			return
		}
		var digits string
		if n, err := fmt.Sscanf(a.Normalised, "+%s", &digits); n != 1 || err != nil || strings.Trim(digits, "0123456789") != "" || len(digits) > 15 {
			t.Fatalf("%q became %q", raw, a.Normalised)
		}
		if again := NormalisePhone(a.Normalised, region); again.Normalised != a.Normalised {
			t.Fatalf("%q became %q, and that %q (%s)", raw, a.Normalised, again.Normalised, again.Reason)
		}
	})
}
