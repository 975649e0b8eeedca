package campaign

import (
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/customer"
	"github.com/sapa-crm/sapa/internal/diag"
	"github.com/sapa-crm/sapa/internal/strictyaml"
)

// contentHint is how the content of a channel is written.
func contentHint(channel string) string {
	if f := FormOf(channel); f != nil {
		return "such as  " + f.Example
	}
	if channel == "sms" {
		return `such as  sms: {text: "Halo {{ customer.first_name }}"}`
	}
	return "such as  email: {subject: Selamat, html: greeting.html.liquid}"
}

// checkChannels finds the campaign's channels: those that are named, or else the one that it has content for.
func (k *checker) checkChannels() {
	k.c.channel = k.contentChannel()
	if named := k.namedChannels(); len(named) > 0 {
		k.c.channel, k.c.channels = named[0], named
	}
	if k.f.Has("$.channels") && k.wellFormed && len(k.c.Definition.Channels) == 0 {
		k.problem("$.channels", "write  channels: ["+k.c.channel+"], or leave the line out", "no channel is named")
	}
	for _, name := range k.c.Channels() {
		if _, ok := k.c.schema.Address(name); !ok && !addressless(name) {
			k.problem("$.channels", "in sapa.yaml, below customers:, write  "+addressHint(name),
				"no column is mapped for the address of channel %s", name)
		}
	}
}

// addressHint is how the address of a channel is mapped in sapa.yaml.
func addressHint(channel string) string {
	f := FormOf(channel)
	switch {
	case channel == "sms" || f != nil && f.Address == channels.PhoneAddress:
		return "phone: name_of_the_column"
	case f != nil && f.Address == channels.PostAddress:
		return "post: {lines: [street], postcode: postcode, city: city}"
	}
	return "email: name_of_the_column"
}

// contentChannel is the first channel that there is content for.
func (k *checker) contentChannel() string {
	for _, name := range available() {
		if k.f.Has("$.content." + name) {
			return name
		}
	}
	return "email"
}

// namedChannels are those of the file's channels that campaigns can use.
func (k *checker) namedChannels() (named []string) {
	names := k.c.Definition.Channels
	for i, name := range names {
		at := strictyaml.Index("$.channels", i)
		known := slices.Contains(available(), name)
		switch {
		case known && slices.Contains(names[:i], name):
			k.problem(at, "", "%s stands here already", name)
		case known:
			named = append(named, name)
		case strings.TrimSpace(name) == "":
		case slices.Contains(customer.Channels(), name):
			k.problem(at, notAvailable, "the channel %s is not available yet", name)
		default:
			k.problem(at, diag.DidYouMean(name, available()), "unknown channel %q", name)
		}
	}
	return named
}

// checkContentKeys says whether there is content for each of the campaign's channels, and reports what there is for others.
func (k *checker) checkContentKeys() {
	if !k.f.Has("$.content") || !k.wellFormed {
		return // reported as a missing key, or one may be misspelt
	}
	channel, named := k.c.channel, k.namedAny()
	for _, name := range available() {
		switch at := "$.content." + name; {
		case k.c.uses(name) || !k.f.Has(at):
		case named:
			k.add(k.f.KeyProblem(at, "leave it out; or write  channels: ["+strings.Join(append(slices.Clone(k.c.channels), name), ", ")+"]",
				"this is for %s, and the campaign goes by %s", name, strings.Join(k.c.channels, ", ")))
		default:
			k.add(k.f.KeyProblem(at, "name them in the order in which they are tried, such as  channels: ["+channel+", "+name+"]",
				"there is content for %s, too, and nothing says which channel comes first", channel))
		}
	}
	for _, channel := range k.c.Channels() {
		if !k.f.Has("$.content." + channel) {
			k.missingContent(channel, named)
		}
	}
}

// missingContent reports that there is nothing to send by a channel.
func (k *checker) missingContent(channel string, named bool) {
	hint := contentHint(channel)
	if !named {
		hint += "  or  " + strings.TrimPrefix(contentHint("sms"), "such as  ")
		k.add(k.f.KeyProblem("$.content", hint, "there is no content"))
		return
	}
	k.add(k.f.KeyProblem("$.content", hint, "the key %q is missing here", channel))
}

// namedAny says whether the file names a channel that campaigns can use.
func (k *checker) namedAny() bool {
	return slices.ContainsFunc(k.c.Definition.Channels, func(name string) bool { return slices.Contains(available(), name) })
}
