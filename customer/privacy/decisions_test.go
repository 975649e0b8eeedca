package privacy

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/customer/importer"
)

// What is said for a customer who was erased is refused: whoever gets the key later would inherit it.
func TestDecisionsAfterErasureAreRefused(t *testing.T) {
	t.Parallel()
	s := setup(t)
	s.erase("c1")
	_, err := s.schema.ChangeConsent(t.Context(), s.pool, "ani", customer.ConsentChange{
		CustomerKey: "c1", Channel: "email", Topic: "news", Granted: true, At: today,
	})
	want := "customer c1: the customer was erased: nothing is sent to them, and nothing that they say is kept"
	if !errors.Is(err, customer.ErrErased) || err.Error() != want {
		t.Errorf("by hand: %v", err)
	}
	path := filepath.Join(t.TempDir(), "list.csv")
	s.must(os.WriteFile(path, []byte("customer,granted\nc1,yes\nc2,yes\n"), 0o600))
	source, err := importer.Open(path, nil)
	s.must(err)
	res, err := s.schema.ImportConsents(t.Context(), s.pool, customer.ConsentList{Source: source, Topic: "news", Actor: "ani", Now: today})
	if err != nil || res.Added != 1 || res.Rejected != 1 {
		t.Errorf("a list: %+v, %v", res, err)
	}
	got := s.texts(`select customer_key || ' ' || topic from consents where customer_key in ('c1', 'c2') and source = 'import by ani'`)
	if diff := cmp.Diff([]string{"c2 news"}, got); diff != "" {
		t.Errorf("consents (-want +got):\n%s", diff)
	}
}

// TestEraseWaitsForLists: a list that was matched with the address book is written before its addresses are blanked.
func TestEraseWaitsForLists(t *testing.T) {
	t.Parallel()
	s := setup(t)
	tx, err := s.pool.Begin(t.Context())
	s.must(err)
	defer func() { _ = tx.Rollback(t.Context()) }()
	path := filepath.Join(t.TempDir(), "list.txt")
	s.must(os.WriteFile(path, []byte("zulkifli.r@mail.example\n"), 0o600))
	source, err := importer.Open(path, nil)
	s.must(err)
	_, err = customer.ImportSuppressions(t.Context(), tx, customer.SuppressionList{Source: source, Reason: "list", Actor: "ani", Now: today})
	s.must(err)
	other, err := s.pool.Begin(t.Context())
	s.must(err)
	defer func() { _ = other.Rollback(t.Context()) }()
	_, err = other.Exec(t.Context(), `set local lock_timeout = '20ms'`)
	s.must(err)
	if err := lock(t.Context(), other); err == nil {
		t.Error("an erasure may begin while a list is being written")
	}
}
