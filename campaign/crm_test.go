package campaign_test

import (
	"testing"
	"testing/fstest"

	"github.com/sapa-crm/sapa/campaign"
)

// crmTables are those of a workshop with everything that a campaign file can refer to. docs/campaigns.md uses them, too.
const crmTables = `
create schema crm;
create table crm.dealers (id bigint primary key, name text not null, city text);
create table crm.customers (
	id bigint primary key, full_name text, first_name text, email text, phone text, birth_date date, city text, zone text,
	plan text, income numeric, tags text[], topics text[], newsletter_ok boolean, created_at timestamptz, deleted_at timestamptz,
	dealer_id bigint references crm.dealers
);
create table crm.vehicles (
	id bigint primary key, customer_id bigint not null references crm.customers, plate text not null, model text, next_service_on date
);
create index on crm.vehicles (customer_id);
create table crm.orders (
	id bigint primary key, customer_id bigint not null references crm.customers, kind text, total numeric, ordered_at timestamptz
);
create index on crm.orders (customer_id);
create table crm.visits (customer_id bigint not null references crm.customers, visited_on date)`

const crmYAML = `
customers:
  table: crm.customers
  key: id
  email: email
  phone: phone
  name: full_name
  locale: {default: id-ID}
  timezone: {column: zone, default: Asia/Jakarta}
  where: customer.deleted_at == nil
  consent: {default: granted, email: newsletter_ok}
  relations:
    vehicles: {table: crm.vehicles, by: customer_id, key: id}
    orders: {table: crm.orders, by: customer_id, key: id, at: ordered_at, amount: total}
    visits: {table: crm.visits, by: customer_id}
    dealer: {table: crm.dealers, via: dealer_id, key: id}
`

// setupCRM is a shop with crmTables instead of its own.
func setupCRM(t *testing.T) *shop {
	t.Helper()
	s := setup(t)
	s.exec(crmTables)
	s.resolve(crmYAML)
	return s
}

// project is the files of a project as a file system.
func project(files map[string]string) fstest.MapFS {
	dir := fstest.MapFS{"campaigns/.keep": {}, "templates/.keep": {}}
	for name, text := range files {
		dir[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return dir
}

// load checks a project that must be in order.
func (s *shop) load(files map[string]string) []*campaign.Campaign {
	s.t.Helper()
	p, problems, err := campaign.LoadProject(project(files), s.schema, s.library.Base())
	s.must(err)
	s.must(problems.Err())
	return p.Campaigns
}
