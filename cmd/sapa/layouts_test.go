package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Layouts are listed, and written where nothing is yet.
func TestLayouts(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	a := newApp(func(string) string { return "" }, nil, &out, &out)
	a.dir = t.TempDir()
	run := func(names ...string) string {
		out.Reset()
		if err := runLayouts(a, names); err != nil {
			return err.Error()
		}
		return out.String()
	}
	file, reminder := filepath.Join(a.dir, "templates", "greeting.mjml.liquid"), filepath.Join(a.dir, "templates", "reminder.mjml.liquid")
	for _, step := range []struct{ names, want string }{
		{"", `greeting  A greeting with a small present, such as for a birthday.
offer     An offer: what it is, three good reasons, the price, and one button.
reminder  A reminder of something that is due, with what the customer has to know at a glance. Its audience says  each: customer.vehicles as vehicle, without merge.
to have them in templates/: sapa layouts NAME…
`},
		{"greeting", file + ": name it in a campaign: html: greeting.mjml.liquid\n"},
		{"offer greeting", file + " is there already; nothing was written: name it in a campaign as it is, or move it away first"},
		{"ofer", `there is no layout "ofer"; did you mean "offer"?`},
		{"../sapa", `there is no layout "../sapa"; known here: greeting, offer, reminder`},
		{"reminder reminder", reminder + ": name it in a campaign: html: reminder.mjml.liquid\n"},
	} {
		if d := cmp.Diff(step.want, run(strings.Fields(step.names)...)); d != "" {
			t.Errorf("sapa layouts %s: %s", step.names, d)
		}
	}
	if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), `<mjml lang="id">`) {
		t.Errorf("%v: %s", err, text)
	}
	if _, err := os.Stat(filepath.Join(a.dir, "templates", "offer.mjml.liquid")); !os.IsNotExist(err) {
		t.Errorf("something was written: %v", err)
	}
	a.dir = file // no folder
	if got := run("offer"); got != "write layouts: lstat "+filepath.Join(file, "templates", "offer.mjml.liquid")+": not a directory" {
		t.Error(got)
	}
}
