package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/mail"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

// contract is Twilio's own description of its API, and a RoundTripper that holds every request and every answer to it.
type contract struct {
	http.RoundTripper
	t        *testing.T
	document map[string]any
	compiler *jsonschema.Compiler
	checked  map[string]int // exchanges by operation and status
}

func newContract(t *testing.T) *contract {
	t.Helper()
	shared := os.Getenv("SAPA_SHARED")
	if shared == "" {
		shared = "../../shared"
	}
	text, err := os.ReadFile(filepath.Join(shared, "twilio", "openapi-messages-calls.json"))
	if errors.Is(err, os.ErrNotExist) {
		t.Skip("Twilio's description of its API is not here")
	}
	if err != nil {
		t.Fatal(err)
	}
	document, err := jsonschema.UnmarshalJSON(bytes.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	c := &contract{RoundTripper: &http.Transport{}, t: t, checked: map[string]int{}, compiler: jsonschema.NewCompiler()}
	c.document = strict(document).(map[string]any)
	c.compiler.AssertFormat()
	for _, f := range formats() {
		c.compiler.RegisterFormat(f)
	}
	if err := c.compiler.AddResource("twilio.json", c.document); err != nil {
		t.Fatal(err)
	}
	return c
}

// strict makes JSON Schema of OpenAPI 3.0: null is a type, and an object has the properties that are described, no
// others.
func strict(node any) any {
	switch n := node.(type) {
	case []any:
		for i := range n {
			n[i] = strict(n[i])
		}
	case map[string]any:
		for key := range n {
			n[key] = strict(n[key])
		}
		if kind, ok := n["type"].(string); ok && n["nullable"] == true {
			n["type"] = []any{kind, "null"}
		}
		if _, ok := n["properties"].(map[string]any); ok && n["type"] == "object" {
			n["additionalProperties"] = false
		}
	}
	return node
}

// formats are those of Twilio's that JSON Schema does not know.
func formats() []*jsonschema.Format {
	text := func(name, pattern string) *jsonschema.Format {
		return &jsonschema.Format{Name: name, Validate: func(v any) error {
			if s, ok := v.(string); ok && !regexp.MustCompile(pattern).MatchString(s) {
				return fmt.Errorf("%q does not match %s", s, pattern)
			}
			return nil
		}}
	}
	date := &jsonschema.Format{Name: "date-time-rfc-2822", Validate: func(v any) error {
		s, ok := v.(string)
		if !ok {
			return nil
		}
		_, err := mail.ParseDate(s)
		if err == nil && !strings.HasSuffix(s, " +0000") {
			err = errors.New("not in GMT")
		}
		return err
	}}
	uris := &jsonschema.Format{Name: "uri-map", Validate: func(v any) error {
		m, _ := v.(map[string]any)
		for name, value := range m {
			if s, ok := value.(string); !ok || !strings.HasPrefix(s, "/2010-04-01/") {
				return fmt.Errorf("%s: %v is not an address", name, value)
			}
		}
		return nil
	}}
	uri := &jsonschema.Format{Name: "uri", Validate: func(v any) error { // of pages; the description's own examples have no host
		s, ok := v.(string)
		if u, err := url.Parse(s); ok && (err != nil || u.Host == "" && !strings.HasPrefix(s, "/2010-04-01/")) {
			return fmt.Errorf("%q is no address", s)
		}
		return nil
	}}
	return []*jsonschema.Format{
		date, uris, uri, text("currency", `^[A-Z]{3}$`), text("int64", ``), text("phone-number", `^((whatsapp:)?\+[1-9]\d{6,14}|\d{3,8}|[A-Za-z0-9 ]{1,11})$`),
	}
}

// RoundTrip implements http.RoundTripper.
func (c *contract) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		body, _ = io.ReadAll(r.Body)
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	path, method := r.URL.Path, strings.ToLower(r.Method)
	template, described := c.template(path)
	if described {
		c.checkRequest(template, method, path, r.URL.Query(), string(body))
	}
	response, err := c.RoundTripper.RoundTrip(r)
	if err != nil || !described {
		return response, err
	}
	answer, _ := io.ReadAll(response.Body)
	_ = response.Body.Close()
	response.Body = io.NopCloser(bytes.NewReader(answer))
	c.checked[method+" "+template+" "+strconv.Itoa(response.StatusCode)]++
	if response.StatusCode < 300 {
		c.checkAnswer(template, method, strconv.Itoa(response.StatusCode), answer)
	}
	return response, nil
}

// template is the described path that a path is an instance of.
func (c *contract) template(path string) (string, bool) {
	for template := range c.document["paths"].(map[string]any) {
		if len(pathValues(template, path)) > 0 {
			return template, true
		}
	}
	return "", false
}

// pathValues are the values of {names} in a path; nil when it is not of that template.
func pathValues(template, path string) map[string]string {
	pattern, names := regexp.QuoteMeta(template), regexp.MustCompile(`\\{(\w+)\\}`)
	match := regexp.MustCompile("^" + names.ReplaceAllString(pattern, `(?P<$1>[^/.]+)`) + "$").FindStringSubmatch(path)
	if match == nil {
		return nil
	}
	values := map[string]string{}
	for i, name := range names.FindAllStringSubmatch(pattern, -1) {
		values[name[1]] = match[i+1]
	}
	return values
}

func (c *contract) operation(template, method string) map[string]any {
	path := c.document["paths"].(map[string]any)[template].(map[string]any)
	operation, ok := path[method].(map[string]any)
	if !ok {
		c.t.Fatalf("%s %s is not described", method, template)
	}
	return operation
}

func (c *contract) checkRequest(template, method, path string, query url.Values, body string) {
	c.t.Helper()
	given := map[string]map[string]string{"path": pathValues(template, path), "query": {}}
	for name := range query {
		given["query"][name] = query.Get(name)
	}
	parameters, _ := c.operation(template, method)["parameters"].([]any)
	for i, p := range parameters {
		parameter := p.(map[string]any)
		in, name := parameter["in"].(string), parameter["name"].(string)
		value, ok := given[in][name]
		if !ok && parameter["required"] == true {
			c.t.Errorf("%s %s: no %s", method, template, name)
		}
		if ok {
			schema := parameter["schema"].(map[string]any)
			c.check(typed(schema, []string{value}), "paths", template, method, "parameters", strconv.Itoa(i), "schema")
		}
		delete(given[in], name)
	}
	for in, left := range given {
		for name := range left {
			c.t.Errorf("%s %s: unknown parameter %s in the %s", method, template, name, in)
		}
	}
	if method == "post" {
		c.checkForm(template, method, body)
	}
}

func (c *contract) checkForm(template, method, body string) {
	c.t.Helper()
	form, err := url.ParseQuery(body)
	if err != nil {
		c.t.Error(err)
	}
	at := []string{"paths", template, method, "requestBody", "content", "application/x-www-form-urlencoded", "schema"}
	properties := c.node(append(at, "properties")...).(map[string]any)
	object := map[string]any{}
	for name, values := range form {
		schema, _ := properties[name].(map[string]any)
		object[name] = typed(schema, values)
	}
	c.check(object, at...)
}

// typed is what a form's values mean by their schema.
func typed(schema map[string]any, values []string) any {
	switch schema["type"] {
	case "integer", "number":
		if n, err := strconv.ParseFloat(values[0], 64); err == nil {
			return n
		}
	case "boolean":
		if b, err := strconv.ParseBool(values[0]); err == nil {
			return b
		}
	case "array":
		list := []any{}
		for _, v := range values {
			list = append(list, v)
		}
		return list
	}
	return values[0]
}

func (c *contract) checkAnswer(template, method, status string, answer []byte) {
	c.t.Helper()
	value, err := jsonschema.UnmarshalJSON(bytes.NewReader(answer))
	if err != nil {
		c.t.Fatalf("%v in %s", err, answer)
	}
	c.check(value, "paths", template, method, "responses", status, "content", "application/json", "schema")
	kind := "message"
	if strings.Contains(template, "/Calls") {
		kind = "call"
	}
	entries, _ := value.(map[string]any)[kind+"s"].([]any)
	if value.(map[string]any)["sid"] != nil {
		entries = append(entries, value)
	}
	for name := range c.node("components", "schemas", "api.v2010.account."+kind, "properties").(map[string]any) {
		for _, m := range entries {
			if _, ok := m.(map[string]any)[name]; !ok {
				c.t.Errorf("%s %s: no %s in a %s", method, template, name, kind)
			}
		}
	}
}

func (c *contract) node(at ...string) any {
	var node any = c.document
	for _, step := range at {
		next, ok := node.(map[string]any)[step]
		if !ok {
			c.t.Fatalf("%s is not described", strings.Join(at, " "))
		}
		node = next
	}
	return node
}

// check validates a value against the schema at a place of the document.
func (c *contract) check(value any, at ...string) {
	c.t.Helper()
	escape := strings.NewReplacer("~", "~0", "/", "~1")
	pointer := "#"
	for _, step := range at {
		pointer += "/" + url.PathEscape(escape.Replace(step))
	}
	schema, err := c.compiler.Compile("twilio.json" + pointer)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := schema.Validate(value); err != nil {
		c.t.Error(err)
	}
}

const anyService = "MG0123456789abcdef0123456789abcdef"

// TestTwiliosOwnClientAndDescription drives twilio-go against the sandbox; what goes over the wire in either direction
// must be as Twilio describes it.
func TestTwiliosOwnClientAndDescription(t *testing.T) {
	t.Parallel()
	c := newContract(t)
	h := newHook(t)
	s := start(t, Config{InboundURL: h.URL + "/in"})
	twilio := twilioClientAs(t, s, DefaultAccountSID, DefaultAuthToken, c)

	create := func(p *api.CreateMessageParams) *api.ApiV2010Message {
		m, err := twilio.CreateMessage(p)
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
	plain := create(textTo(customer, "Halo Budi", h.URL+"/hooks/sms/report/t1").SetValidityPeriod(3600).SetSmartEncoded(true))
	pooled := create((&api.CreateMessageParams{}).SetTo(customer).SetMessagingServiceSid(anyService).SetBody("Selamat 🎂"))
	lost := create(textTo("+6281255553003", "Halo", h.URL+"/hooks/sms/report/t2"))
	picture := create((&api.CreateMessageParams{}).SetTo(customer).SetFrom("Bengkel").SetMediaUrl([]string{"https://bengkel.example/a.png"}))
	if *plain.Status != "queued" || *pooled.Status != "accepted" || pooled.From != nil || *pooled.NumSegments != "0" || *picture.NumMedia != "1" {
		t.Errorf("created %+v %+v %+v", plain, pooled, picture)
	}
	settle(t, s)
	if _, err := s.Reply(t.Context(), customer, sender, "STOP"); err != nil {
		t.Fatal(err)
	}
	for sid, want := range map[string]string{*plain.Sid: "delivered", *pooled.Sid: "delivered", *lost.Sid: "undelivered", *picture.Sid: "delivered"} {
		m, err := twilio.FetchMessage(sid, nil)
		if err != nil {
			t.Fatal(err)
		}
		if string(*m.Status) != want || *m.Sid != sid || *m.Price != "-0.00750" || m.DateSent == nil || m.From == nil {
			t.Errorf("fetched %+v, want %s", m, want)
		}
	}
	list, err := twilio.ListMessage((&api.ListMessageParams{}).SetPageSize(2))
	if err != nil || len(list) != 6 {
		t.Errorf("%d texts, %v; want 6, with the customer's and the answer to it", len(list), err)
	}
	for code, p := range map[int]*api.CreateMessageParams{
		21211: textTo("123", "x", ""), 21614: textTo("+15005550009", "x", ""), 21610: textTo(customer, "x", ""), 20429: textTo("+6281255550429", "x", ""),
	} {
		if _, err := twilio.CreateMessage(p); errorCode(err) != code {
			t.Errorf("%v, want error %d", err, code)
		}
	}
	if _, err := twilio.FetchMessage("SM0123456789abcdef0123456789abcdef", nil); errorCode(err) != 20404 {
		t.Errorf("%v, want error 20404", err)
	}
	messages := "/2010-04-01/Accounts/{AccountSid}/Messages"
	for exchange, want := range map[string]int{
		"post " + messages + ".json 201": 4, "post " + messages + ".json 400": 3, "post " + messages + ".json 429": 1,
		"get " + messages + "/{Sid}.json 200": 4, "get " + messages + "/{Sid}.json 404": 1, "get " + messages + ".json 200": 3,
	} {
		if got := c.checked[exchange]; got != want {
			t.Errorf("%d times %s, want %d", got, exchange, want)
		}
	}
}

func TestTheContractHasTeeth(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{
		`{"status": "gone"}`:                   "value must be one of 'queued', 'sending', 'sent'",
		`{"sid": "SM1"}`:                       "does not match pattern",
		`{"date_sent": "2026-11-22"}`:          "is not valid date-time-rfc-2822",
		`{"num_segments": 1}`:                  "got number, want null or string",
		`{"colour": "red"}`:                    "additional properties 'colour' not allowed",
		`{"price_unit": "dollars"}`:            "is not valid currency",
		`{"subresource_uris": {"media": "x"}}`: "is not valid uri-map",
	} {
		c := newContract(t)
		value, _ := jsonschema.UnmarshalJSON(strings.NewReader(answer))
		schema, err := c.compiler.Compile("twilio.json#/components/schemas/api.v2010.account.message")
		if err != nil {
			t.Fatal(err)
		}
		if err := schema.Validate(value); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", answer, err, want)
		}
	}
}
