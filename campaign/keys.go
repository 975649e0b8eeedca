package campaign

import "slices"

// Keys that are no keys, but that authors may look for: they stand elsewhere, or are planned and not available yet.

const notAvailable = "leave it out for now"

// elsewhere says where keys stand that are often written a level too high or too low.
func elsewhere(key string) string {
	switch key {
	case "each", "where", "occasion", "merge", "cooldown":
		return "it belongs below  audience:"
	case "at", "cron", "timezone", "until", "catch_up":
		return "it belongs below  schedule:"
	case "email", "sms":
		return "it belongs below  content:"
	case "subject", "html", "reply_to":
		return "it belongs below  email:  in  content:"
	case "text":
		return "it belongs below  email:  or  sms:  in  content:"
	case "unless":
		return "it belongs below  then:"
	case "max_audience", "pause_if", "quiet_hours", "cap", "on_cap", "spread", "give_up_after", "budget":
		return "it belongs below  limits:"
	case "bounces", "failures", "unsubscribes", "after":
		return "it belongs below  pause_if:  in  limits:"
	case "campaign", "description", "topic", "confirms", "audience", "schedule", "trigger", "channels", "then", "content", "limits", "priority", "seeds", "approval":
		return "it belongs at the beginning of a line, not inside something else"
	}
	return ""
}

// hint chooses the hint for a key: one that is planned, one that stands elsewhere, or the words for one that is missing.
func hint(key string, planned []string, missing map[string]string) string {
	if words, ok := missing[key]; ok {
		return words
	}
	if slices.Contains(planned, key) {
		return "it is not available yet: " + notAvailable
	}
	return elsewhere(key)
}

// KeyHint implements strictyaml.KeyHinter.
func (*Definition) KeyHint(key string) string {
	return hint(key, []string{"goal", "holdout", "locales", "variants", "on_unknown"},
		map[string]string{
			"":         "such as  campaign: birthday",
			"campaign": "the name of the file without .yaml, such as  campaign: oil-change",
			"audience": "such as  audience: {where: birthday(customer.birth_date)}",
			"content":  "such as  content: {email: {subject: Selamat, html: greeting.html.liquid}}",
		})
}

// KeyHint implements strictyaml.KeyHinter.
func (*Audience) KeyHint(key string) string {
	return hint(key, []string{"holdout"}, map[string]string{
		"segment": `write  where: segment("regulars")`,
		"":        "such as  audience: {where: birthday(customer.birth_date)}",
		"where":   "write a rule, or  where: true  for everybody",
	})
}

// KeyHint implements strictyaml.KeyHinter.
func (*Schedule) KeyHint(key string) string {
	return hint(key, nil, map[string]string{"": `such as  schedule: {cron: "0 8 * * *"}`})
}

// KeyHint implements strictyaml.KeyHinter.
func (*Content) KeyHint(key string) string {
	return hint(key, []string{"locales", "variants"}, map[string]string{
		"": "such as  content: {email: {subject: Selamat, html: greeting.html.liquid}}",
	})
}

// KeyHint implements strictyaml.KeyHinter.
func (*SMS) KeyHint(key string) string {
	return hint(key, []string{"locales", "variants", "media", "account"}, map[string]string{
		"":         contentHint("sms"),
		"text":     contentHint("sms"),
		"from":     "the sender is the same for all campaigns: sapa.yaml, below  channels: sms:",
		"template": "write it as  text:",
		"body":     "write it as  text:",
		"html":     "a text message has only  text:",
		"subject":  "a text message has only  text:",
	})
}

// KeyHint implements strictyaml.KeyHinter.
func (*Email) KeyHint(key string) string {
	return hint(key, []string{"locales", "variants", "attachments", "account"}, map[string]string{
		"":         "such as  email: {subject: Selamat, html: greeting.html.liquid}",
		"from":     "the sender is the same for all campaigns: sapa.yaml, below  channels: email:",
		"template": "write it as  html:  or as  text:",
		"body":     "write it as  html:  or as  text:",
		"subject":  "such as  subject: Selamat ulang tahun",
	})
}

// KeyHint implements strictyaml.KeyHinter.
func (*SegmentDefinition) KeyHint(key string) string {
	return hint(key, []string{"extends", "exclude"}, map[string]string{
		"":         "such as  segment: regulars",
		"campaign": "this file is a segment: write  segment:  and the file's name; campaigns stand in campaigns/",
		"segment":  "the name of the file without .yaml, such as  segment: regulars",
		"where":    "such as  where: count(customer.orders) >= 3",
		"rule":     "write it as  where:",
		"name":     "write it as  segment:",
		"each":     "a segment is about customers; rows of a relation are asked by any(…) and its kin",
	})
}
