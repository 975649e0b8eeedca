package customer

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

var update = flag.Bool("update", false, "rewrite the expected messages in testdata")

func TestMain(m *testing.M) { pgtest.Main(m) }

func testEnv(name string) string {
	return map[string]string{
		"SMTP_URL": "smtp://user:hunter2@mail.example:587", "SMTP_URL_2": "smtps://user:hunter2@two.example", "PASSWORD": "hunter2 %",
		"TWILIO_URL": "https://AC12:hunter2@api.twilio.com", "TWILIO_KEY_URL": "https://SK12:hunter2@api.twilio.com/AC12",
	}[name]
}

const wholeConfig = `# sapa.yaml
customers:
  table: customers
  key: id
  email: email
  phone: {column: phone}
  name: full_name
  locale: {default: id-ID}
  timezone: {column: tz, default: Asia/Jakarta}
  region: {default: ID}
  where: customer.deleted_at == nil
  consent: {default: denied, email: newsletter_ok, sms: sms_ok}
  relations:
    vehicles: {table: '"Sales"."Vehicles.All"', by: customer_id, key: id}
    orders:
      table: shop.orders
      by: customer_id
      key: id
      at: ordered_at
      amount: total
      relations:
        items: {table: shop.order items, by: order_id}
    dealer: {table: dealers, via: dealer_id, key: id}
channels:
  email: {smtp: "${SMTP_URL}", from: "Bengkel Maju <halo@Bengkel.example>", reply_to: cs@bengkel.example, rate: 600/m, connections: 8}
  sms: {twilio: "${TWILIO_KEY_URL}", auth_token: "${PASSWORD}", from: "+62 811-1234-567", rate: 10/s, connections: 4}
public_url: https://sapa.bengkel.example/
company: {name: Bengkel Maju, address: Jl. Pemuda 1, Semarang}
`

func TestLoadConfig(t *testing.T) {
	t.Parallel()
	cfg, problems := LoadConfig("sapa.yaml", strings.Replace(wholeConfig, "Jl. Pemuda 1, Semarang", `"Jl. Pemuda 1, Semarang"`, 1), testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	if cfg.File == nil {
		t.Fatal("the file is gone")
	}
	cfg.File = nil
	want := &Config{
		Customers: CustomersConfig{
			Table: TableName{"public", "customers"}, Key: "id",
			Email: Field{Column: "email"}, Phone: Field{Column: "phone"}, Name: Field{Column: "full_name"},
			Locale: Field{Default: "id-ID"}, Timezone: Field{Column: "tz", Default: "Asia/Jakarta"}, Region: Field{Default: "ID"},
			Where:   "customer.deleted_at == nil",
			Consent: Consent{Granted: false, Columns: map[string]string{"email": "newsletter_ok", "sms": "sms_ok"}},
			Relations: map[string]*RelationConfig{
				"vehicles": {Table: TableName{"Sales", "Vehicles.All"}, By: "customer_id", Key: "id"},
				"orders": {
					Table: TableName{"shop", "orders"}, By: "customer_id", Key: "id", At: "ordered_at", Amount: "total",
					Relations: map[string]*RelationConfig{"items": {Table: TableName{"shop", "order items"}, By: "order_id"}},
				},
				"dealer": {Table: TableName{"public", "dealers"}, Via: "dealer_id", Key: "id"},
			},
		},
		Channels: ChannelsConfig{
			Email: &EmailSettings{
				SMTP: "smtp://user:hunter2@mail.example:587", From: Mailbox{"Bengkel Maju", "halo@bengkel.example"},
				ReplyTo: Mailbox{Addr: "cs@bengkel.example"}, Rate: Rate{600, time.Minute}, Connections: 8,
			},
			SMS: &SMSSettings{
				Twilio: "https://SK12:hunter2@api.twilio.com/AC12", AuthToken: "hunter2 %", From: "+628111234567",
				Rate: Rate{10, time.Second}, Connections: 4,
			},
		},
		PublicURL: "https://sapa.bengkel.example",
		Retention: DefaultRetention(),
		Company:   Company{Name: "Bengkel Maju", Address: "Jl. Pemuda 1, Semarang"},
	}
	if d := cmp.Diff(want, cfg); d != "" {
		t.Error(d)
	}
	if got := cfg.Channels.Email.Rate.PerSecond(); got != 10 {
		t.Errorf("600/m is %v per second", got)
	}
}

func TestConsentIsGrantedUnlessTheFileSaysOtherwise(t *testing.T) {
	t.Parallel()
	for consent, want := range map[string]bool{"": true, "  consent: {email: ok}\n": true, "  consent: {default: denied}\n": false} {
		cfg, problems := LoadConfig("sapa.yaml", "customers:\n  table: t\n  key: id\n"+consent, testEnv)
		if len(problems) > 0 || cfg.Customers.Consent.Granted != want {
			t.Errorf("%q: %v %v", consent, cfg, problems)
		}
	}
}

func TestSecretsDoNotPrint(t *testing.T) {
	t.Parallel()
	cfg, problems := LoadConfig("sapa.yaml", wholeConfig[:strings.Index(wholeConfig, "company")], testEnv)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	marshalled, err := json.Marshal(cfg.Channels)
	printed := fmt.Sprintf("%v %+v %#v %v %+v %#v %s", cfg.Channels.Email, *cfg.Channels.Email, *cfg.Channels.Email,
		cfg.Channels.SMS, *cfg.Channels.SMS, *cfg.Channels.SMS, marshalled)
	if err != nil || strings.Contains(printed, "hunter2") || !strings.Contains(printed, "***") {
		t.Error(printed, err)
	}
	if cfg.Channels.Email.SMTP.Reveal() != testEnv("SMTP_URL") {
		t.Error("the secret is lost")
	}
}

// Each file of testdata/config is a sapa.yaml that is wrong, a line of dashes, and the messages about it.
func TestConfigMessages(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/config/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no cases", err)
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			t.Parallel()
			data, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			input, want, _ := strings.Cut(string(data), "----------\n")
			_, problems := LoadConfig("sapa.yaml", input, testEnv)
			if len(problems) == 0 {
				t.Fatal("no problems")
			}
			got := problems.Err().Error() + "\n"
			if strings.Contains(got, "hunter2") {
				t.Error("a secret is shown")
			}
			if *update {
				if err := os.WriteFile(name, []byte(input+"----------\n"+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestDocumentedConfigIsValid(t *testing.T) {
	t.Parallel()
	doc, err := os.ReadFile("../docs/mapping.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(doc), "```yaml\n")
	block, _, found := strings.Cut(block, "```\n")
	cfg, problems := LoadConfig("sapa.yaml", block, testEnv)
	if !found || len(problems) > 0 {
		t.Fatal(problems)
	}
	db := company(t, `
		create table public.customers (id bigint primary key, email text, phone text, full_name text, zone text,
		  deleted_at date, newsletter_ok boolean, sms_ok boolean, dealer_id int);
		create table public.vehicles (id bigint primary key, customer_id bigint);
		create table public.dealers (id int primary key);
		create schema shop;
		create table shop.orders (id bigint primary key, customer_id bigint, ordered_at date, total numeric);
		create table shop.order_lines (order_id bigint)`)
	s, problems, err := Resolve(t.Context(), db, cfg)
	if err != nil || len(problems) > 0 {
		t.Fatal(problems, err)
	}
	for _, path := range []string{"$.customers", "$.customers.relations.orders", "$.channels.email"} {
		for _, name := range cfg.File.Keys(path) {
			if !strings.Contains(string(doc), "| `"+name+"` |") {
				t.Errorf("docs/mapping.md does not say what %s is", name)
			}
		}
	}
	if err := CheckKeys(t.Context(), db, s); err != nil {
		t.Error(err)
	}
}
