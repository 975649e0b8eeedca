package importer

import (
	"os"
	"path/filepath"
	"testing"
)

// adventureWorks is the folder of the sample files, which are no part of the repository.
func adventureWorks(t *testing.T) string {
	t.Helper()
	shared := os.Getenv("SAPA_SHARED")
	if shared == "" {
		shared = "../../../shared"
	}
	dir := filepath.Join(shared, "data", "adventureworks")
	if _, err := os.Stat(dir); err != nil {
		t.Skipf("no AdventureWorks files: %v", err)
	}
	return dir
}

// The wanted figures were computed from the files by a Python program that shares nothing with this package: csv.DictReader
// over the bytes as UTF-8, else Latin-1; incomes by stripping "$", "," and spaces; money by decimal.Decimal; dates by
// splitting at "/" or "-", month first, 20YY, and summed as days since 1970-01-01; md5 over the rows' columns joined by "|",
// rows joined by line feeds, in the order of the key.
func TestAdventureWorks(t *testing.T) {
	t.Parallel()
	dir := adventureWorks(t)
	b := setup(t)
	files := []struct {
		file, table string
		key         []string
		want        string
	}{
		{"Customers", "customers", []string{"CustomerKey"}, "18148 rows: 18148 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Phones", "phones", []string{"EmailAddress"}, "18148 rows: 18148 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Products", "products", []string{"ProductKey"}, "293 rows: 293 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Product_Categories", "categories", []string{"ProductCategoryKey"}, "4 rows: 4 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Product_Subcategories", "subcategories", []string{"ProductSubcategoryKey"}, "37 rows: 37 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Territories", "territories", []string{"SalesTerritoryKey"}, "10 rows: 10 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Returns", "returns", nil, "1809 rows: 1809 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Sales_2021", "sales", []string{"OrderNumber", "OrderLineItem"}, "2630 rows: 2630 added, 0 changed, 0 unchanged, 0 rejected, created"},
		{"Sales_2022", "sales", nil, "23935 rows: 23935 added, 0 changed, 0 unchanged, 0 rejected"},
		{"Sales_2023", "sales", nil, "29481 rows: 29481 added, 0 changed, 0 unchanged, 0 rejected"},
		{"Customers", "customers", nil, "18148 rows: 0 added, 0 changed, 18148 unchanged, 0 rejected"},
		{"Sales_2022", "sales", nil, "23935 rows: 0 added, 0 changed, 23935 unchanged, 0 rejected"},
	}
	for _, f := range files {
		b.want(f.file, b.loadFile(filepath.Join(dir, "AdventureWorks_"+f.file+".csv"), Options{Table: f.table, Key: f.key}), f.want)
	}
	checks := []struct{ what, sql, want string }{
		{
			"customers", `select concat_ws(' ', count(*), sum(customer_key), sum(annual_income), sum(birth_date - '1970-01-01'), min(birth_date), max(birth_date), sum(total_children)) from data.customers`,
			"18148 367451094 1039320000 -52538607 1900-04-08 1980-12-26 33458",
		},
		{"birthdays on 22 November", `select count(*)::text from data.customers where to_char(birth_date, 'MM-DD') = '11-22'`, "69"},
		{"missing and boolean", `select concat_ws(' ', count(*) filter (where home_owner), count(*) filter (where not home_owner), count(*) filter (where gender is null), count(*) filter (where prefix is null)) from data.customers`, "12260 5888 130 130"},
		{"accents", `select concat_ws(' ', count(*) filter (where (first_name || last_name || email_address) ~ '[^\x01-\x7f]'), count(*) filter (where email_address ~ '[^\x01-\x7f]')) from data.customers`, "90 39"},
		{"a name", `select concat_ws(' ', prefix, first_name, last_name, email_address) from data.customers where customer_key = 11096`, "MR. ANDRÉS ANAND andrés18@adventure-works.com"},
		{"all names", `select md5(string_agg(concat_ws('|', customer_key, first_name, last_name, email_address), E'\n' order by customer_key)) from data.customers`, "bbf7dc51e122c91c99c8dc6d07211290"},
		{"all phones", `select md5(string_agg(email_address || '|' || phone_number, E'\n' order by email_address collate "C")) from data.phones`, "cc64d9b6afad7867a2ead9a3c6b23cd6"},
		{"phones join customers", `select count(*)::text from data.customers join data.phones using (email_address)`, "18148"},
		{"products", `select concat_ws(' ', count(*), sum(product_cost), sum(product_price), count(*) filter (where product_color is null)) from data.products`, "293 121202.6757 209330.1455 50"},
		{"all products", `select md5(string_agg(concat_ws('|', product_key, product_sku, product_name, model_name, product_description, product_size, product_style), E'\n' order by product_key)) from data.products`, "951a065816dcde59ce5424ddf5eb8d69"},
		{"categories", `select string_agg(product_category_key || ' ' || category_name, ', ' order by 1) from data.categories`, "1 Bikes, 2 Components, 3 Clothing, 4 Accessories"},
		{"subcategories join products", `select count(*)::text from data.products join data.subcategories using (product_subcategory_key) join data.categories using (product_category_key)`, "293"},
		{"territories", `select string_agg(region, ', ' order by sales_territory_key) from data.territories`, "Northwest, Northeast, Central, Southwest, Southeast, Canada, France, Germany, Australia, United Kingdom"},
		{"returns", `select concat_ws(' ', count(*), sum(return_quantity), sum(return_date - '1970-01-01')) from data.returns`, "1809 1828 34992462"},
		{
			"sales", `select concat_ws(' ', extract(year from order_date), count(*), sum(order_quantity), sum(sales), sum(order_date - '1970-01-01'), sum(stock_date - '1970-01-01'), min(order_date), max(order_date), min(stock_date), max(stock_date), count(distinct customer_key))
			from data.sales group by extract(year from order_date) order by 1`,
			"2021 2630 2630 6404933.5803 49501922 31074409 2021-01-01 2021-12-31 2001-09-11 2002-12-14 2630\n" +
				"2022 23935 36230 9187824.1880 461128483 293402551 2022-01-01 2022-12-31 2002-09-06 2003-12-16 9133\n" +
				"2023 29481 45314 9185449.4473 573458033 366887897 2023-01-01 2023-06-30 2003-09-03 2004-06-15 10502",
		},
	}
	for _, c := range checks {
		b.want(c.what, b.rows(c.sql), c.want)
	}
}

func (b bundle) loadFile(path string, opts Options) string {
	b.t.Helper()
	src, err := Open(path, nil)
	if err != nil {
		b.t.Fatal(err)
	}
	plan, err := Inspect(b.t.Context(), src, opts)
	if err != nil {
		b.t.Fatal(err)
	}
	result, err := Load(b.t.Context(), b.pool, plan)
	if err != nil {
		b.t.Fatal(err)
	}
	return summary(result)
}
