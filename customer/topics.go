package customer

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/pg"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// Topic is what consent is asked for, as customers see it on their page of preferences.
type Topic struct {
	Name     string // in campaigns and in the ledger
	Title    Words
	About    Words
	OptIn    OptIn
	Channels []string // on which customers can choose it; empty: on all that there are
}

// OptIn says what it takes to get a topic.
type OptIn string

// The ways.
const (
	OptInDefault OptIn = ""       // nothing, where sapa.yaml's default is granted
	OptInSingle  OptIn = "single" // the customer's or the company's word
	OptInDouble  OptIn = "double" // the company's word counts only when the customer has confirmed it
)

// Words are a text in the languages that public pages speak.
type Words struct {
	ID, EN string
}

// In is the text in a language, "id" or "en", or in the other where there is none.
func (w Words) In(lang string) string {
	first, second := w.ID, w.EN
	if lang == "en" {
		first, second = w.EN, w.ID
	}
	if first == "" {
		return second
	}
	return first
}

// Readable makes a topic's name words: "service-reminders" is read as "service reminders".
func Readable(topic string) string {
	return strings.Join(strings.FieldsFunc(topic, func(r rune) bool { return r == '-' || r == '_' || r == ' ' }), " ")
}

// On says whether customers can choose the topic on a channel.
func (t Topic) On(channel string) bool {
	return len(t.Channels) == 0 || slices.Contains(t.Channels, channel)
}

// Unchoosable says why a topic can't be granted on a channel; "" where it can, and for Every of either.
func (s *Schema) Unchoosable(topic, channel string) string {
	t, _ := s.Topic(topic)
	if channel == Every || t.On(channel) {
		return ""
	}
	return topic + " can be chosen on " + strings.Join(t.Channels, ", ") + " only"
}

// Called is the topic's title in a language, or its readable name.
func (t Topic) Called(lang string) string {
	if title := t.Title.In(lang); title != "" {
		return title
	}
	return Readable(t.Name)
}

// Topic finds a topic of sapa.yaml; one that is not listed there has nothing but its name.
func (s *Schema) Topic(name string) (t Topic, listed bool) {
	for _, t := range s.Topics {
		if t.Name == name {
			return t, true
		}
	}
	return Topic{Name: name}, false
}

// GrantedByDefault says whether somebody gets a topic of whom neither the ledger nor a column says anything: where
// sapa.yaml's default is granted, and the topic asks for no opt-in.
func (s *Schema) GrantedByDefault(topic string) bool {
	t, _ := s.Topic(topic)
	return s.Consent.Granted && t.OptIn == OptInDefault
}

// ColumnGrants says whether a yes in the company's opt-in column is consent to a topic. To one with opt_in: double it is
// none, since the customer has not confirmed it; a no always counts.
func (s *Schema) ColumnGrants(topic string) bool {
	t, _ := s.Topic(topic)
	return t.OptIn != OptInDouble
}

// AllTopics are the topics of sapa.yaml in its order, then those of applied campaigns that it does not list, by name.
func (s *Schema) AllTopics(ctx context.Context, db pg.DBTX) ([]Topic, error) {
	rows, _ := db.Query(ctx, `select distinct v.topic from campaigns c join versions v on v.id = c.version_id order by 1`)
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("read the topics of campaigns: %w", err)
	}
	all := slices.Clone(s.Topics)
	for _, name := range names {
		if _, listed := s.Topic(name); !listed {
			all = append(all, Topic{Name: name})
		}
	}
	return all, nil
}

// TopicConfig is one topic of sapa.yaml's section "topics".
type TopicConfig struct {
	Title    Words    `yaml:"title"`
	About    Words    `yaml:"about"`
	OptIn    OptIn    `yaml:"opt_in"`
	Channels []string `yaml:"channels"`
}

// UnmarshalNode reads a text for all languages, or one for each: {id: …, en: …}.
func (w *Words) UnmarshalNode(n strictyaml.Node) diag.List {
	var keys struct {
		ID string `yaml:"id"`
		EN string `yaml:"en"`
	}
	switch n.Kind() {
	case strictyaml.Text:
		*w = Words{ID: n.Text(), EN: n.Text()}
		return nil
	case strictyaml.Map:
		problems := n.Decode(&keys)
		if len(n.Entries()) == 0 {
			problems = append(problems, n.Problem("write {id: …, en: …}", "no text in any language"))
		}
		*w = Words{ID: keys.ID, EN: keys.EN}
		return problems
	}
	return diag.List{n.Expected("", "a text, or {id: …, en: …}")}
}

// UnmarshalScalar reads how a topic is opted into.
func (o *OptIn) UnmarshalScalar(text string) error {
	switch *o = OptIn(text); *o {
	case OptInSingle, OptInDouble:
		return nil
	}
	return fmt.Errorf("expected single (a word is enough) or double (the customer confirms it)")
}

// MaxTopic is how long the name of a topic is at most, in bytes.
const MaxTopic = 60

var topicName = regexp.MustCompile(`^[a-z0-9]+(-[a-z0-9]+)*$`)

// topics checks the section "topics".
func (c *checker) topics(cfg *Config) {
	for _, name := range c.file.Keys("$.topics") {
		path := strictyaml.Key("$.topics", name)
		if !topicName.MatchString(name) || len(name) > MaxTopic {
			c.keyProblem(path, fmt.Sprintf("use lower-case letters, digits and single hyphens, at most %d, as campaigns do", MaxTopic),
				"%q can't be a topic's name", name)
		}
		if t := cfg.Topics[name]; t != nil {
			c.topicChannels(path+".channels", t, cfg)
		}
	}
}

func (c *checker) topicChannels(path string, t *TopicConfig, cfg *Config) {
	if c.file.Has(path) && c.wellMade && len(t.Channels) == 0 {
		c.problem(path, "such as [email], or leave the line out", "no channel is named")
	}
	for i, channel := range t.Channels {
		at := strictyaml.Index(path, i)
		switch {
		case channel == "":
		case !slices.Contains(Channels(), channel):
			c.problem(at, diag.DidYouMean(channel, Channels()), "unknown channel %q", channel)
		case slices.Contains(t.Channels[:i], channel):
			c.problem(at, "", "%s stands here already", channel)
		case !cfg.maps(addressKind(channel)):
			c.problem(at, "below customers:, write  "+mapping(addressKind(channel)), "no column is mapped for the address of channel %s", channel)
		}
	}
}

// maps says whether customers have addresses of a kind.
func (cfg *Config) maps(kind channels.AddressKind) bool {
	switch kind {
	case channels.MailAddress:
		return cfg.Customers.Email.Column != ""
	case channels.PhoneAddress:
		return cfg.Customers.Phone.Column != ""
	case channels.PostAddress:
		return cfg.Customers.Post != nil
	case channels.NoAddress:
	}
	return true
}

// mapping is what to write below customers: for addresses of a kind.
func mapping(kind channels.AddressKind) string {
	switch kind {
	case channels.MailAddress:
		return "email: name_of_the_column"
	case channels.PostAddress:
		return "post: {lines: [street], postcode: postcode, city: city}"
	case channels.PhoneAddress, channels.NoAddress:
	}
	return "phone: name_of_the_column"
}

// topicList are the topics in the file's order.
func (cfg *Config) topicList() []Topic {
	var list []Topic
	for _, name := range cfg.File.Keys("$.topics") {
		if t := cfg.Topics[name]; t != nil {
			list = append(list, Topic{Name: name, Title: t.Title, About: t.About, OptIn: t.OptIn, Channels: t.Channels})
		}
	}
	return list
}
