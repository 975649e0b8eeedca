package importer

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestColumnName(t *testing.T) {
	t.Parallel()
	tests := map[string]string{
		"CustomerKey":            "customer_key",
		"customer_key":           "customer_key",
		"ProductSKU":             "product_sku",
		"SKUCode":                "sku_code",
		"Tanggal Lahir":          "tanggal_lahir",
		"E-mail":                 "e_mail",
		"Annual Income ($)":      "annual_income",
		"Prénom":                 "prenom",
		"Address2Line":           "address2_line",
		"2021 Sales":             "_2021_sales",
		"顧客":                     "顧客",
		"%":                      "",
		strings.Repeat("é", 100): strings.Repeat("e", 63),
		strings.Repeat("顧", 30):  strings.Repeat("顧", 21),
	}
	for header, want := range tests {
		if got := columnName(header); got != want {
			t.Errorf("columnName(%q) = %q, want %q", header, got, want)
		}
	}
}

func TestColumnNames(t *testing.T) {
	t.Parallel()
	names, notes := columnNames([]string{"Name", "", "name", "NAME", "ctid", "name_2"})
	if diff := cmp.Diff([]string{"name", "column_2", "name_2", "name_3", "ctid_", "name_2_2"}, names); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	want := []string{
		"column 2 has no name: it is called column_2",
		"column 3 is a second name: it is called name_2",
		"column 4 is a second name: it is called name_3",
		"column 6 is a second name_2: it is called name_2_2",
	}
	if diff := cmp.Diff(want, notes); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
}
