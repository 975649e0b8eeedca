package customer

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestNormalisePost(t *testing.T) {
	t.Parallel()
	for raw, want := range map[string]string{
		// name, street, street, postcode, city, province, country
		"Budi|Jl. Merdeka 17||50241|Semarang|Jawa Tengah|":    "Budi|Jl. Merdeka 17|Semarang 50241|Jawa Tengah|ID",
		"Budi|Jl. Merdeka 17|RT 02|50241|Semarang||Indonesia": "Budi|Jl. Merdeka 17|RT 02|Semarang 50241|ID",
		"Jörg|Am Markt 1||10117|Berlin||Deutschland":          "Jörg|Am Markt 1|10117 Berlin|DE",
		"Ann|350 Fifth Ave|Suite 21|10118|New York|NY|us":     "Ann|350 Fifth Ave|Suite 21|New York NY 10118|US",
		"Ann|1 High St||W1A 1AA|London||United Kingdom":       "Ann|1 High St|London|W1A 1AA|GB",
		"Ann|1 High St||BT1 1AA|Belfast||UK":                  "Ann|1 High St|Belfast|BT1 1AA|GB",
		"Lim|7 Main Rd||018956|Singapore||SGP":                "Lim|7 Main Rd|Singapore 018956|SG",
		"-|Jl. Merdeka 17|n/a|null|Semarang|--|":              "Jl. Merdeka 17|Semarang|ID",
		"Budi|Jl. Me\u0301rdeka 17\u200b||50241|Semarang||":   "Budi|Jl. Mérdeka 17|Semarang 50241|ID",
		"Budi|||50241|Semarang||":                             "! no street",
		"Budi|.|-|50241|Semarang||":                           "! no street",
		"Budi|Jl. Merdeka 17||50241|||":                       "! no city",
		"Budi|Jl. Merdeka 17||50241|50241||":                  "! no city",
		"Budi|Jl. Merdeka 17||50241|Semarang||Atlantis":       "! an unknown country",
		"Budi|" + strings.Repeat("x", 61) + "||1|Semarang||":  "! a line of more than 60 characters",
		"Budi|Jl. Merdeka 17":                                 "! not written as name, street, postcode, city, province, country on lines of their own",
		"Budi|" + strings.Repeat("x", 600) + "||1|Semarang||": "! longer than 500 characters",
		"Budi|Jl. \xff||1|Semarang||":                         "! not valid text",
		" ":                                                   "! empty",
	} {
		a := NormalisePost(strings.ReplaceAll(raw, "|", "\n"), "ID")
		got := strings.ReplaceAll(a.Normalised, "\n", "|")
		if !a.Usable() {
			got = "! " + a.Reason
		}
		if got != want {
			t.Errorf("%q:\ngot  %s\nwant %s", raw, got, want)
		}
	}
	if a := NormalisePost("Budi\nJl. Merdeka 17\n1\nSemarang\n\n", ""); a.Reason != "no country; map customers.post.country, or give sapa.yaml a region" {
		t.Errorf("%+v", a)
	}
}

const postYAML = `customers:
  table: shop.customers
  key: id
  name: full_name
  region: {default: ID}
  post: {lines: [street, street2], postcode: zip, city: town, province: region, country: land}
`

// TestPostInSQLAndGo has both join the same columns: they must write the same text, or an address would be looked up under
// another one than it was filled in by.
func TestPostInSQLAndGo(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	ctx := t.Context()
	for _, sql := range []string{
		`create schema shop`,
		`create table shop.customers (id int primary key, full_name text, street text, street2 varchar(80), zip int, town text, region text, land char(2))`,
		`insert into shop.customers values
			(1, 'Budi', 'Jl. Merdeka 17', null, 50241, 'Semarang', 'Jawa Tengah', null),
			(2, E' Ani \t S. ', E'Jl. Satu 1,\r\n\r\n RT 02 ,\nRW 03\n', ', ', null, '  Solo  ', '', 'ID'),
			(3, 'Citra', null, '', null, ' ', 'Bali', 'ID'),
			(4, null, E'\n', null, 1, null, null, null),
			(5, 'Dewi', E'a\u00a0b', 'Ä  ö', 12345, E'New\tYork', 'NY', 'US')`,
	} {
		if _, err := pool.Exec(ctx, sql); err != nil {
			t.Fatal(err)
		}
	}
	cfg, problems := LoadConfig("sapa.yaml", postYAML, testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	s, problems, err := Resolve(ctx, pool, cfg)
	if err != nil || len(problems) > 0 {
		t.Fatal(err, problems)
	}
	raw, _ := s.AddressSQL("customer", "letter")
	rows, _ := pool.Query(ctx, `select id::text, coalesce(`+raw+`, '') from shop.customers customer order by id`)
	bySQL := map[string]string{}
	var id, text string
	if _, err := pgx.ForEachRow(rows, []any{&id, &text}, func() error { bySQL[id] = text; return nil }); err != nil {
		t.Fatal(err)
	}
	people, err := s.People(ctx, pool, []string{"1", "2", "3", "4", "5"})
	if err != nil {
		t.Fatal(err)
	}
	byGo := map[string]string{}
	for key, p := range people {
		byGo[key] = p.Addresses["letter"]
	}
	if diff := cmp.Diff(bySQL, byGo); diff != "" {
		t.Errorf("SQL, and Go:\n%s", diff)
	}
	want := map[string]string{
		"1": "Budi\nJl. Merdeka 17\n\n50241\nSemarang\nJawa Tengah\n", "2": "Ani S.\nJl. Satu 1, RT 02, RW 03\n\n\nSolo\n\nID", "3": "",
		"4": "\n\n\n1\n\n\n", "5": "Dewi\na\u00a0b\nÄ ö\n12345\nNew York\nNY\nUS",
	}
	if diff := cmp.Diff(want, bySQL); diff != "" {
		t.Error(diff)
	}
	stats, err := FillAddressBook(ctx, pool, "letter", `select `+raw+`, 'ID' from shop.customers customer`)
	if diff := cmp.Diff(AddressStats{New: 4, Refused: map[string]int{"no street": 1}}, stats); diff != "" || err != nil {
		t.Error(diff, err)
	}
}

func TestPostColumnsAreChecked(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	if _, err := pool.Exec(t.Context(), `create schema shop; create table shop.customers (id int primary key, full_name text, street text, street2 int, zip int, town text, land text)`); err != nil {
		t.Fatal(err)
	}
	cfg, problems := LoadConfig("sapa.yaml", postYAML, testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	_, problems, err := Resolve(t.Context(), pool, cfg)
	if err != nil {
		t.Fatal(err)
	}
	got := fmt.Sprint(problems.Err())
	for _, want := range []string{`sapa.yaml:6:26: shop.customers.street2 is integer, but it must be text`, `sapa.yaml:6:73: no column "region" in shop.customers`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}
