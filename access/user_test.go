package access

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestCan(t *testing.T) {
	t.Parallel()
	want := map[Role]string{
		Marketer: "read reports, control runs, apply, approve, read replies, see alerts, send events, read log",
		Agent:    "read replies, see alerts, send events, make calls",
		Analyst:  "read reports",
		Operator: "read reports, control runs, apply, approve, read replies, see alerts, send events, make calls, read log, manage users, erase",
		"nobody": "",
	}
	for role, list := range want {
		var can []string
		for _, p := range Permissions() {
			if Can(role, p) {
				can = append(can, string(p))
			}
		}
		if got := strings.Join(can, ", "); got != list {
			t.Errorf("%s can: %s\nwant: %s", role, got, list)
		}
		if Can(role, "") || Can(role, "fly") {
			t.Errorf("%s can what nobody can", role)
		}
	}
}

func TestPasswords(t *testing.T) {
	t.Parallel()
	for password, want := range map[string]string{
		good:                            "",
		"pässwörter sind lang":          "",
		"short":                         "the password has 5 characters; take at least 15, such as four or five words",
		"ééééééé ééééé":                 "the password has 13 characters; take at least 15, such as four or five words",
		strings.Repeat("kopi ", 60):     "the password has 300 characters; take at most 256",
		strings.Repeat("x", 20):         "the password is one character over and over; take four or five words",
		"ani-of-the-shop 123":           "",
		"\xff\xfe and more than enough": "the password is not UTF-8 text; type it again",
	} {
		err := CheckPassword("ani", password)
		if got := text(err); got != want {
			t.Errorf("%q: %s\nwant: %s", password, got, want)
		}
	}
	if got := text(CheckPassword("marketing-team", "Marketing-Team1")); got != "the password is little more than the user's name; take four or five words" {
		t.Errorf("the own name: %s", got)
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestPasswordHash(t *testing.T) {
	t.Parallel()
	one, two := hashPassword(good), hashPassword(good)
	if one == two || !strings.HasPrefix(one, "$argon2id$v=19$m=19456,t=2,p=1$") || len(one) != len("$argon2id$v=19$m=19456,t=2,p=1$")+22+1+43 {
		t.Errorf("hashes are %s and %s", one, two)
	}
	if !verifyPassword(one, good) || verifyPassword(one, good+"!") || verifyPassword(one, "") {
		t.Error("a hash fits another password, or not its own")
	}
	// The same é, typed as one character and as two.
	if !verifyPassword(hashPassword("caf\u00e9 di pasar baru"), "cafe\u0301 di pasar baru") {
		t.Error("a password depends on the keyboard")
	}
	// The test vector of the reference implementation (argon2 -id -t 2 -m 16 -p 1, password "password", salt "somesalt").
	const reference = "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc"
	if !verifyPassword(reference, "password") || verifyPassword(reference, "Password") {
		t.Error("argon2id is not that of the reference implementation")
	}
	for _, bad := range []string{
		"", good, "$argon2i$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=16$m=65536,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
		"$argon2id$v=19$m=65536,t=0,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc", "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHQ$", "$argon2id$v=19$m=99999999,t=2,p=1$c29tZXNhbHQ$CTFhFdXPJO1aFaMaO6Mm5c8y7cJHAph8ArZWb2GRPPc",
	} {
		if verifyPassword(bad, "password") || verifyPassword(bad, "") {
			t.Errorf("%q is taken for a hash", bad)
		}
	}
}

func TestUsers(t *testing.T) {
	t.Parallel()
	pool, ctx := pgtest.Pool(t), t.Context()
	add := func(name string, role Role, password string) string {
		return text(AddUser(ctx, pool, "root", name, role, password, noon))
	}
	for _, tt := range []struct {
		name     string
		role     Role
		password string
		want     string
	}{
		{"ani", Operator, good, ""},
		{"shop-1", Marketer, "", ""},
		{"ani", Analyst, "", "there is a user ani already; change them with: sapa user set-role, password, enable"},
		{"Ani", Analyst, "", `user name "Ani": write small letters, digits, and . _ - after the first; at most 63`},
		{"ani b", Analyst, "", `user name "ani b": write small letters, digits, and . _ - after the first; at most 63`},
		{"", Analyst, "", `user name "": write small letters, digits, and . _ - after the first; at most 63`},
		{strings.Repeat("a", 64), Analyst, "", `user name "` + strings.Repeat("a", 64) + `": write small letters, digits, and . _ - after the first; at most 63`},
		{"sapa", Analyst, "", `user name "sapa" is Sapa's own in the audit log; take another`},
		{"customer", Analyst, "", `user name "customer" is Sapa's own in the audit log; take another`},
		{"schedule", Analyst, "", `user name "schedule" is Sapa's own in the audit log; take another`},
		{"budi", "marketeer", "", "no role \"marketeer\"; did you mean \"marketer\"?\n  write one of: marketer, agent, analyst, operator"},
		{"budi", Agent, "short", "the password has 5 characters; take at least 15, such as four or five words"},
	} {
		if got := add(tt.name, tt.role, tt.password); got != tt.want {
			t.Errorf("add %q: %s\nwant: %s", tt.name, got, tt.want)
		}
	}
	for what, err := range map[string]error{
		"set-role": SetRole(ctx, pool, "root", "anni", Agent), "password": SetPassword(ctx, pool, "root", "anni", good),
		"disable": Disable(ctx, pool, "root", "anni", noon), "enable": Enable(ctx, pool, "root", "anni"),
		"token":  func() error { _, _, err := AddToken(ctx, pool, "root", "anni", "", time.Time{}, noon); return err }(),
		"tokens": func() error { _, err := Tokens(ctx, pool, "anni"); return err }(),
	} {
		if !errors.Is(err, ErrNoUser) || text(err) != "no such user \"anni\"\n  did you mean \"ani\"?" {
			t.Errorf("%s of nobody: %v", what, err)
		}
	}
	if got := text(RevokeToken(ctx, pool, "root", 7, noon)); got != "there is no token 7; see: sapa user token list" {
		t.Errorf("revoke: %s", got)
	}
	for _, err := range []error{
		SetRole(ctx, pool, "root", "shop-1", Analyst), Disable(ctx, pool, "root", "shop-1", noon), Disable(ctx, pool, "root", "shop-1", noon.Add(1)),
		Enable(ctx, pool, "root", "ani"), SetPassword(ctx, pool, "root", "ani", ""),
	} {
		if err != nil {
			t.Error(err)
		}
	}
	list, err := Users(ctx, pool, noon)
	if err != nil {
		t.Fatal(err)
	}
	at := noon
	want := []User{{Name: "ani", Role: Operator, CreatedAt: noon}, {Name: "shop-1", Role: Analyst, CreatedAt: noon, DisabledAt: &at}}
	for i := range list {
		list[i].ID = 0
	}
	if diff := cmp.Diff(want, list); diff != "" {
		t.Errorf("users (-want +got):\n%s", diff)
	}
	log := entries(t, ctx, pool, LogFilter{})
	wantLog := []string{
		`root user password user ani map[password:false]`,
		`root user disable user shop-1 map[]`,
		`root user set-role user shop-1 map[from:marketer to:analyst]`,
		`root user add user shop-1 map[password:false role:marketer]`,
		`root user add user ani map[password:true role:operator]`,
	}
	if diff := cmp.Diff(wantLog, log); diff != "" {
		t.Errorf("audit log (-want +got):\n%s", diff)
	}
}
