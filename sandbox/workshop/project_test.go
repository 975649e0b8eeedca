package workshop

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/pgtest"
)

// load writes the project to a folder and checks it against a workshop's database.
func load(t *testing.T, pool *pgxpool.Pool) []*campaign.Campaign {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "project")
	if err := WriteProject(dir); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(filepath.Join(dir, "sapa.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	config, problems := customer.LoadConfig("sapa.yaml", string(text), func(name string) string {
		return map[string]string{"SMTP_URL": "smtp://127.0.0.1:2525", "TWILIO_URL": "http://ACx:token@127.0.0.1:8025", "PUBLIC_URL": "http://127.0.0.1:8080"}[name]
	})
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	schema, problems, err := customer.Resolve(t.Context(), pool, config)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems.Err())
	}
	base, problems := campaign.Base(config, schema)
	if err := problems.Err(); err != nil {
		t.Fatal(err)
	}
	project, problems, err := campaign.LoadProject(os.DirFS(dir), schema, base)
	if err != nil || problems.Err() != nil {
		t.Fatal(err, problems.Err())
	}
	return project.Campaigns
}

func TestTheProjectFitsTheWorkshop(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t)
	create(t, pool, Config{Customers: 200, Vehicles: 260, Today: day(2026, 11, 22), Seed: 1})
	now := time.Date(2026, 11, 22, 1, 0, 0, 0, time.UTC)
	campaigns := load(t, pool)
	parts := map[string][2]string{
		"check-in": {"title", "has a birthday today"}, "flowers": {"script", "Tahun lalu Anda memesan bunga"}, "oil-change": {"variables.2", " "},
	}
	var names []string
	for _, c := range campaigns {
		names = append(names, c.Name())
		p, err := c.Preview(t.Context(), pool, "", now, now, "https://sapa.bengkel.example")
		if err != nil {
			t.Fatalf("%s: %v", c.Name(), err)
		}
		if p.Channel != "email" {
			if want := parts[c.Name()]; !strings.Contains(p.Message.Parts[want[0]], want[1]) {
				t.Errorf("%s: part %s is %q, want %q in it", c.Name(), want[0], p.Message.Parts[want[0]], want[1])
			}
			continue
		}
		for _, part := range []string{"Berhenti berlangganan", "https://bengkel.example/", "Semarang"} {
			if !strings.Contains(p.Message.HTML, part) || !strings.Contains(p.Message.Text, part) {
				t.Errorf("%s: no %q in both parts", c.Name(), part)
			}
		}
		if out := os.Getenv("WORKSHOP_PREVIEWS"); out != "" { // to look at them in a browser
			_ = os.WriteFile(filepath.Join(out, c.Name()+".html"), []byte(p.Message.HTML), 0o600)
			_ = os.WriteFile(filepath.Join(out, c.Name()+".txt"), []byte(p.Message.Subject+"\n\n"+p.Message.Text), 0o600)
		}
	}
	if diff := cmp.Diff([]string{"birthday", "check-in", "flowers", "oil-change", "upsell"}, names); diff != "" {
		t.Error(diff)
	}
	for _, c := range campaigns { // customer 3 has no first name
		if c.Name() != "birthday" {
			continue
		}
		p, err := c.Preview(t.Context(), pool, "3", now, now, "https://sapa.bengkel.example")
		if err != nil {
			t.Fatal(err)
		}
		if want := "Selamat ulang tahun, Sobat!"; p.Message.Subject != want || !strings.Contains(p.Message.HTML, want) {
			t.Errorf("subject %q, want %q", p.Message.Subject, want)
		}
	}
}

func TestWriteProjectKeepsWhatIsThere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	mine := filepath.Join(dir, "sapa.yaml")
	if err := os.WriteFile(mine, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := WriteProject(dir); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(mine); err != nil || string(text) != "mine" {
		t.Errorf("sapa.yaml is %q, %v", text, err)
	}
	var got []string
	err := fs.WalkDir(os.DirFS(dir), ".", func(name string, e fs.DirEntry, err error) error {
		if err == nil && !e.IsDir() {
			got = append(got, name)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"campaigns/birthday.yaml", "campaigns/check-in.yaml", "campaigns/flowers.yaml", "campaigns/oil-change.yaml", "campaigns/upsell.yaml",
		"sapa.yaml", "segments/good-customers.yaml", "templates/birthday.html.liquid", "templates/postcard.png", "templates/upsell.html.liquid",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}
