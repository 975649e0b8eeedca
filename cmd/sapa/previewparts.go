package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/campaign"
	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/calls"
)

// printPartsPreview shows a message of a channel with a form: whom it goes to, or whom it is about, each part by its key, and where its links
// lead.
func (a *app) printPartsPreview(p *campaign.Preview) {
	form := campaign.FormOf(p.Channel)
	if form != nil && form.Address == channels.NoAddress {
		fmt.Fprintf(a.stdout, "about:   %s\n\n", cmp.Or(oneLine(p.Message.To.Name), "customer "+oneLine(p.CustomerKey)))
	} else {
		fmt.Fprintf(a.stdout, "to:      %s\n\n", partsAddress(p, form))
	}
	for _, key := range partKeys(p.Message.Parts, form) {
		text := p.Message.Parts[key]
		if text == "" {
			continue
		}
		fmt.Fprintf(a.stdout, "%s:%s\n", key, partText(text))
	}
	a.printExampleLinks(p)
}

// partsAddress is whom a message goes to: the customer's address as it is dialled or printed, or why none is any good.
func partsAddress(p *campaign.Preview, form *channels.Form) string {
	name := oneLine(p.Message.To.Name)
	switch address := inOneLine(p.Address); {
	case p.Address == "":
		return strings.TrimSpace(name + " <>, nothing reaches them: no address")
	case p.Unusable != "":
		return fmt.Sprintf("%s <%s>, nothing reaches it: %s", name, address, p.Unusable)
	case p.Number != "" && p.Number != p.Address && form != nil && form.Address == channels.PhoneAddress:
		return fmt.Sprintf("%s <%s>, %s", name, address, p.Number)
	default:
		return fmt.Sprintf("%s <%s>", name, address)
	}
}

// sendable refuses to send a preview by a channel that people finish, or that goes to no address.
func sendable(channel string) error {
	form := campaign.FormOf(channel)
	if form == nil || channel != calls.Name && (form.Address == channels.MailAddress || form.Address == channels.PhoneAddress) {
		return nil
	}
	return &exitError{exitUsage, fmt.Errorf("--send-to: what goes by channel %s can't be sent to an address; the preview above is all of it", channel)}
}

// inOneLine joins the lines of a postal address that say something.
func inOneLine(address string) string {
	var lines []string
	for line := range strings.Lines(address) {
		if line = oneLine(line); line != "" {
			lines = append(lines, line)
		}
	}
	return strings.Join(lines, ", ")
}

// partKeys are the keys of parts in the order of the form; those of Values, and those that the form does not know, by name.
func partKeys(parts map[string]string, form *channels.Form) []string {
	place := func(key string) int {
		name, _, _ := strings.Cut(key, ".")
		if form == nil {
			return 0
		}
		return slices.IndexFunc(form.Parts, func(p channels.Part) bool { return p.Key == key || p.Kind == channels.Values && p.Key == name })
	}
	keys := slices.Sorted(maps.Keys(parts))
	slices.SortStableFunc(keys, func(x, y string) int { return place(x) - place(y) })
	return keys
}

// partText is a part behind its key: in the key's line, or where it has several lines, below it and indented. What would
// steer a terminal is left out.
func partText(text string) string {
	text = strings.TrimRight(text, "\n")
	if !strings.Contains(text, "\n") {
		return " " + oneLine(text)
	}
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString(strings.TrimRight("\n  "+oneLine(line), " "))
	}
	return b.String()
}
