package privacy

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

func (s *shop) export(o ExportOptions) string {
	s.t.Helper()
	o.Now = today
	var out bytes.Buffer
	s.must(Export(s.t.Context(), s.pool, s.schema, &out, o))
	if !json.Valid(out.Bytes()) {
		s.t.Fatalf("no JSON:\n%s", out.String())
	}
	return out.String()
}

var update = flag.Bool("update", false, "rewrite the expected export in testdata")

// unstable are ids and times of this run of the test.
var unstable = regexp.MustCompile(`"seen_at": "[^"]*"`)

// TestExport compares an export with testdata/export.json, which docs/privacy.md describes.
func TestExport(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	got := unstable.ReplaceAllString(s.export(ExportOptions{Customer: "c1", WithRow: true}), `"seen_at": "…"`)
	want, err := os.ReadFile("testdata/export.json")
	if *update {
		s.must(os.MkdirAll("testdata", 0o755))
		s.must(os.WriteFile("testdata/export.json", []byte(got), 0o644))
		want, err = []byte(got), nil
	}
	s.must(err)
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
	for _, word := range zulkifli() { // everything that is found in the tables is in the export
		if !strings.Contains(got, word) {
			t.Errorf("%q is not in it", word)
		}
	}
	for _, other := range []string{"ani@", "keluarga", "budi@"} {
		if strings.Contains(got, other) {
			t.Errorf("%q is in it", other)
		}
	}
	if strings.Contains(s.export(ExportOptions{Customer: "c1"}), "Rahardja") {
		t.Error("the company's row is in it without having been asked for")
	}
}

func TestExportErased(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.zul()
	s.erase("c1")
	s.exec(`delete from shop.customers where id = 'c1'`)
	want := `{
  "customer": "c1",
  "at": "2026-12-03T02:00:00Z",
  "row_present": false,
  "erasures": [
    {
      "at": "2026-12-03T02:00:00+00:00",
      "by": "ani",
      "row_present": true,
      "released_at": null
    }
  ],
  "addresses": [],
  "suppressions": [],
  "consents": [],
  "messages": [],
  "occasions_of_dropped_months": [],
  "letters": [],
  "calls": [],
  "alerts": [],
  "events": [],
  "inbound": []
}
`
	if diff := cmp.Diff(want, s.export(ExportOptions{Customer: "c1"})); diff != "" {
		t.Error(diff)
	}
}

func TestExportPruned(t *testing.T) {
	t.Parallel()
	s := settled(t)
	_, err := Prune(t.Context(), s.pool, november, "ani")
	s.must(err)
	var x struct {
		Messages  []any
		Occasions []struct{ Campaign, Occasion string } `json:"occasions_of_dropped_months"`
		Consents  []any
		Inbound   []any
	}
	s.must(json.Unmarshal([]byte(s.export(ExportOptions{Customer: "c1"})), &x))
	if len(x.Messages) != 0 || len(x.Occasions) != 3 || len(x.Consents) != 1 || len(x.Inbound) != 2 || x.Occasions[0].Campaign != "hello" {
		t.Errorf("%+v", x)
	}
}

func TestExportUnknown(t *testing.T) {
	t.Parallel()
	s := setup(t)
	var out bytes.Buffer
	err := Export(t.Context(), s.pool, s.schema, &out, ExportOptions{Customer: "c9", Now: today})
	if !errors.Is(err, ErrUnknown) || err.Error() != "export customer c9: no such customer; neither shop.customers nor Sapa has the key" || out.Len() > 0 {
		t.Errorf("%v %s", err, out.String())
	}
	// A customer who was never written to, and one whose decision alone is known.
	if got := s.export(ExportOptions{Customer: "c3"}); !strings.Contains(got, `"row_present": true`) {
		t.Error(got)
	}
	s.must(customer.SetConsent(t.Context(), s.pool, customer.ConsentChange{CustomerKey: "c8", Channel: "*", Topic: "*", Source: "by hand", At: today}))
	if got := s.export(ExportOptions{Customer: "c8"}); !strings.Contains(got, `"source": "by hand"`) {
		t.Error(got)
	}
}
