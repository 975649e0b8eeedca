package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sapa-crm/sapa/channels"
	"github.com/sapa-crm/sapa/channels/channeltest/chat"
	"github.com/sapa-crm/sapa/channels/kinds"
	"github.com/sapa-crm/sapa/customer"
)

// A channel of one line: its section of sapa.yaml, what is wrong with it, and its account.
func TestChannelKinds(t *testing.T) {
	t.Parallel()
	list := []channels.Kind{chat.Kind()}
	load := func(section string) (customer.Sections, string) {
		t.Helper()
		config, problems := customer.LoadConfig("sapa.yaml", "customers: {table: t, key: id}\nchannels:\n  "+section+"\n",
			func(string) string { return "hunter2" }, kinds.Names(list)...)
		if config == nil {
			return nil, problems.Err().Error()
		}
		if problems = readSections(config.Channels.Further, list); len(problems) > 0 {
			return nil, problems.Err().Error()
		}
		return config.Channels.Further, ""
	}
	for section, want := range map[string]string{
		`chat: {url: "https://chat.example", tokn: "${T}"}`: "sapa.yaml:3:39: unknown key \"tokn\"\n   3 |   chat: {url: \"https://chat.example\", tokn: \"${T}\"}\n" +
			"     |                                       ^^^^\n     did you mean \"token\"?",
		`chatt: {url: "https://chat.example"}`: "sapa.yaml:3:3: unknown key \"chatt\"\n   3 |   chatt: {url: \"https://chat.example\"}\n     |   ^^^^^\n     did you mean \"chat\"?",
	} {
		_, got := load(section)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
	}
	sections, wrong := load(`chat: {url: "https://chat.example", token: "${T}"}`)
	if wrong != "" {
		t.Fatal(wrong)
	}
	line := kindAccounts(sections, list)[0]
	account, err := line.account()
	if err != nil || !line.present || line.name != "chat" || account.Channel.Account() != "https://chat.example" || account.Connections != 2 {
		t.Errorf("%+v %+v %v", line, account, err)
	}
	if diff := cmp.Diff([]string{"https://chat.example"}, line.urls()); diff != "" {
		t.Error(diff)
	}
	if sections, _ := load(`email: {smtp: "smtp://x.example", from: a@x.example}`); sections != nil || kindAccounts(sections, list)[0].present {
		t.Errorf("without a section there is one: %v", sections)
	}
}
