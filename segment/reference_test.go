package segment

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
)

const (
	reference = "../docs/rules.md"
	startMark = "-update` -->\n"
	endMark   = "<!-- end of functions -->"
)

// TestReference keeps the function reference of docs/rules.md the same as the function table.
func TestReference(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, _ := strings.Cut(string(b), startMark)
	_, after, ok := strings.Cut(rest, endMark)
	if !ok {
		t.Fatalf("%s has no marks around its functions", reference)
	}
	want := before + startMark + functionTable() + endMark + after
	if *update {
		write(t, reference, want)
		return
	}
	if d := cmp.Diff(want, string(b)); d != "" {
		t.Errorf("run go test ./segment/ -run TestReference -update\n%s", d)
	}
}

func functionTable() string {
	var b strings.Builder
	b.WriteString("| write | what it gives | for example |\n|---|---|---|\n")
	for _, f := range Functions() {
		fmt.Fprintf(&b, "| `%s` | %s | `%s` |\n", f.Usage, f.Sentence, f.Example)
	}
	return b.String()
}

// TestDocumentedRulesAreRight reads every rule of the reference, and every example in the function table.
func TestDocumentedRulesAreRight(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	var rules []string
	for _, block := range regexp.MustCompile("(?s)```expr\n(.*?)```").FindAllStringSubmatch(string(b), -1) {
		rules = append(rules, strings.Split(strings.TrimSpace(block[1]), "\n")...)
	}
	for _, f := range Functions() {
		rules = append(rules, f.Example)
		if !strings.Contains(f.Example, f.Name+"(") || !strings.HasSuffix(f.Sentence, ".") {
			t.Errorf("%s: its example does not use it, or its sentence does not end", f.Name)
		}
	}
	scope := NewScope(workshop()).WithNames(workshopNames())
	for _, text := range rules {
		rule, problems := ParseRule(Text(text), scope)
		if problems != nil {
			t.Error(problems)
			continue
		}
		checkTranslation(t, rule, testClocks()[0])
	}
}

// workshop is the company of the examples.
func workshop() *customer.Schema {
	instant, money := "timestamp with time zone", "numeric(14,2)"
	services := entity("services", "services", "id", col("id!", customer.Int, "bigint"), col("at", customer.Timestamptz, instant),
		col("cost", customer.Numeric, money))
	dealers := entity("dealer", "dealers", "id", col("id!", customer.Int, "bigint"), col("city", customer.Text, "text"))
	vehicles := entity("vehicles", "vehicles", "id", col("id!", customer.Int, "bigint"), col("km", customer.Int, "integer"),
		col("next_service_on", customer.Date, "date"), col("dealer_id", customer.Int, "bigint"))
	vehicles.At = "next_service_on"
	vehicles.Relations = []*customer.Relation{
		{Name: "dealer", One: true, Local: "dealer_id", Remote: "id", Target: dealers},
		{Name: "services", Local: "id", Remote: "vehicle_id", Target: services},
	}
	orders := entity("orders", "orders", "id", col("id!", customer.Int, "bigint"), col("total", customer.Numeric, money),
		col("ordered_at", customer.Timestamptz, instant), col("kind", customer.Text, "text"),
		col("paid", customer.Bool, "boolean"))
	orders.At, orders.Amount = "ordered_at", "total"
	customers := entity("customer", "customers", "id", col("id!", customer.Int, "bigint"), col("name", customer.Text, "text"),
		col("city", customer.Text, "text"), col("income", customer.Int, "bigint"), col("visits", customer.Int, "integer"),
		col("birth_date", customer.Date, "date"), col("created_at!", customer.Timestamptz, instant),
		col("tags", customer.TextArray, "text[]"),
		jsonCol("extra", "jsonb", "km: number, address.city: text, Full Name: text, labels: texts, since: date, vip: boolean"))
	customers.Relations = []*customer.Relation{
		{Name: "vehicles", Local: "id", Remote: "customer_id", Target: vehicles},
		{Name: "orders", Local: "id", Remote: "customer_id", Target: orders},
	}
	return &customer.Schema{
		Customer: customers, Zone: "Asia/Jakarta", Country: "ID", Consent: customer.Consent{Granted: true},
		Email: customer.Field{Column: "email"}, Phone: customer.Field{Column: "phone"},
	}
}

// workshopNames are what the examples name.
func workshopNames() *Names {
	campaigns := []string{"newsletter", "oil-change", "spring-sale"}
	return &Names{
		Segments:  map[string]NamedRule{"regulars": {Text: "count(customer.orders) >= 3"}},
		Campaigns: campaigns, Goals: campaigns, Topics: []string{"newsletter"},
	}
}
