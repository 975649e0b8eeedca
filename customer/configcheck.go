package customer

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones on machines that have no zone files
	"unicode/utf8"

	"golang.org/x/text/language"

	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// checker collects what is wrong with a Config beyond its form.
type checker struct {
	file     *strictyaml.File
	wellMade bool // the file's form is right, so that what is missing is not just misspelt
	problems diag.List
}

func (c *checker) problem(path, hint, format string, args ...any) {
	c.problems = append(c.problems, c.file.Problem(path, hint, format, args...))
}

func (c *checker) keyProblem(path, hint, format string, args ...any) {
	c.problems = append(c.problems, c.file.KeyProblem(path, hint, format, args...))
}

func (cfg *Config) check(wellMade bool) diag.List {
	c := &checker{file: cfg.File, wellMade: wellMade}
	customers := cfg.Customers
	c.columnOnly("$.customers.email", customers.Email)
	c.columnOnly("$.customers.phone", customers.Phone)
	c.zone("$.customers.timezone.default", customers.Timezone.Default)
	c.locale("$.customers.locale.default", customers.Locale.Default)
	c.region("$.customers.region.default", customers.Region.Default)
	c.relations("$.customers", customers.Relations)
	c.topics(cfg)
	c.region("$.country", cfg.Country)
	c.holidays(cfg)
	c.events(cfg.Events)
	c.email(cfg.Channels.Email)
	c.sms(cfg.Channels.SMS)
	c.whatsApp(cfg.Channels.WhatsApp)
	c.voice(cfg.Channels.Voice)
	c.letter(cfg.Channels.Letter, cfg.Company)
	c.post(customers.Post)
	c.calls(cfg.Channels.Calls)
	c.webhook("$.channels.webhook", cfg.Channels.Webhook)
	c.alert(cfg.Channels.Alert)
	c.retention(cfg.Retention)
	cfg.PublicURL = c.publicURL("$.public_url", cfg.PublicURL)
	return c.problems
}

func (c *checker) columnOnly(path string, f Field) {
	if f.Default != "" {
		c.problem(path+".default", "name the column that holds each customer's own",
			"an address can't have a default: everybody's messages would go there")
	}
}

func (c *checker) zone(path, zone string) {
	if zone != "" && !ValidZone(zone) {
		c.problem(path, "write a name of the IANA list, such as Asia/Jakarta", "no time zone is called %q", zone)
	}
}

var zonePattern = regexp.MustCompile(`^(UTC|[A-Z][A-Za-z]+/[A-Za-z0-9/_+-]+)$`)

// ValidZone says whether a name is one of the IANA time zone database, such as Asia/Jakarta or UTC. Its old names without
// a continent, such as Japan, are not taken, here as in the table zones.
func ValidZone(name string) bool {
	if !zonePattern.MatchString(name) {
		return false
	}
	_, err := time.LoadLocation(name)
	return err == nil
}

func (c *checker) locale(path, locale string) {
	if locale == "" {
		return
	}
	if _, err := language.Parse(locale); err != nil {
		c.problem(path, "write a language and a country, such as id-ID or en-US (BCP 47)", "%q is no locale", locale)
	}
}

func (c *checker) region(path, region string) {
	if region != "" && !validRegion(region) {
		c.problem(path, "write the two capital letters of ISO 3166, such as ID or US", "%q is no country code", region)
	}
}

var twoCapitals = regexp.MustCompile(`^[A-Z]{2}$`)

func validRegion(code string) bool {
	r, err := language.ParseRegion(code)
	return err == nil && twoCapitals.MatchString(code) && r.IsCountry()
}

var holidayName = regexp.MustCompile(`^[a-z][a-z0-9]*(_[a-z0-9]+)*$`)

func (c *checker) holidays(cfg *Config) {
	for _, name := range slices.Sorted(maps.Keys(cfg.Holidays)) {
		if !holidayName.MatchString(name) {
			c.keyProblem(strictyaml.Key("$.holidays", name), "use lower-case letters, digits and single _, such as founding_day",
				"%q can't be a holiday's name", name)
		}
	}
}

// plainPath is what routes can stand below: segments that need no escapes, none of them empty, . or .. alone.
var plainPath = regexp.MustCompile(`^(/\.{0,2}[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*$`)

func (c *checker) publicURL(path, text string) string {
	if text == "" {
		return ""
	}
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		c.problem(path, "", "expected a URL such as https://sapa.bengkel.example")
	} else if !plainPath.MatchString(strings.TrimRight(u.EscapedPath(), "/")) {
		c.problem(path, "write for example https://bengkel.example/sapa",
			"the path of public_url may hold only letters, digits and . _ ~ - between single slashes")
	}
	return strings.TrimRight(text, "/")
}

// password is what stands between a colon and an @, as in smtp://user:password@host, wherever it was put by mistake.
var password = regexp.MustCompile(`:([^\s"']+)@`)

// hideSecrets takes secrets out of the excerpts that messages show: the accounts' URLs, and whatever looks like a password.
// The file may be one that can't be read.
func hideSecrets(f *strictyaml.File) {
	for _, path := range append(accountURLs(), webhookSecrets(f)...) {
		f.Mask(path)
	}
	for i, line := range strings.Split(f.Source.Text, "\n") {
		for _, m := range password.FindAllStringSubmatchIndex(line, -1) {
			f.MaskSpan(diag.Span{Line: i + 1, Col: utf8.RuneCountInString(line[:m[2]]) + 1, Len: utf8.RuneCountInString(line[m[2]:m[3]])})
		}
	}
}

var relationName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// relations checks what the database is not needed for, in the file's order.
func (c *checker) relations(parent string, relations map[string]*RelationConfig) {
	for _, name := range slices.Sorted(maps.Keys(relations)) {
		r, path := relations[name], strictyaml.Key(parent+".relations", name)
		if r == nil {
			continue // no value, reported by the decoder
		}
		if !relationName.MatchString(name) {
			c.keyProblem(path, "use letters, digits and _", "rules could not write customer.%s", name)
		}
		c.join(parent, path, name, r)
		c.relations(path, r.Relations)
	}
}

const byOrVia = "by: the table's column with the customer's key, many rows each; " +
	"via: the customer's column with the table's key, one row"

func (c *checker) join(parent, path, name string, r *RelationConfig) {
	switch {
	case r.By != "" && r.Via != "":
		c.keyProblem(path+".via", byOrVia,
			`"by" and "via" exclude each other`)
	case r.By == "" && r.Via == "" && c.wellMade:
		c.problem(path, byOrVia,
			`relation %q needs "by" or "via"`, name)
	case r.Via != "" && r.Key == "" && c.wellMade:
		c.problem(path, "name the table's column that "+r.Via+" refers to", `relation %q with "via" needs "key"`, name)
	case r.By != "" && parent != "$.customers" && !c.file.Has(parent+".key"):
		c.problem(parent, "add the column that "+r.By+" refers to", `the relation %q in it needs its "key"`, name)
	}
}
