package sandbox

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	api "github.com/twilio/twilio-go/rest/api/v2010"
)

func TestListing(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 22, 8, 0, 0, 0, time.UTC)
	var mu sync.Mutex
	s := start(t, Config{Now: func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		return now
	}})
	c := twilioClient(t, s)
	var sids []string
	for i := range 5 {
		m := mustText(t, s, textTo(fmt.Sprintf("+62812000000%d", i%2), fmt.Sprint("teks ", i), ""))
		settle(t, s)
		sids = append(sids, *m.Sid)
		mu.Lock()
		now = now.Add(12 * time.Hour) // 22nd 08:00, 20:00, 23rd 08:00, 20:00, 24th 08:00
		mu.Unlock()
	}
	at := func(text string) time.Time {
		parsed, err := time.Parse(time.RFC3339, text)
		if err != nil {
			t.Fatal(err)
		}
		return parsed
	}
	params := func() *api.ListMessageParams { return &api.ListMessageParams{} }
	for name, test := range map[string]struct {
		p    *api.ListMessageParams
		want []int
	}{
		"all":          {params(), []int{4, 3, 2, 1, 0}},
		"in pages":     {params().SetPageSize(2), []int{4, 3, 2, 1, 0}},
		"limit":        {params().SetLimit(3), []int{4, 3, 2}},
		"to":           {params().SetTo("+628120000001"), []int{3, 1}},
		"from":         {params().SetFrom(sender).SetTo("+628120000000"), []int{4, 2, 0}},
		"from another": {params().SetFrom("+6281"), nil},
		"on a day":     {params().SetDateSent(at("2026-11-23T23:00:00Z")), []int{3, 2}},
		"after":        {params().SetDateSentAfter(at("2026-11-23T08:00:00Z")), []int{4, 3, 2}},
		"before":       {params().SetDateSentBefore(at("2026-11-23T08:00:00Z")), []int{2, 1, 0}},
		"between":      {params().SetDateSentAfter(at("2026-11-22T20:00:00+00:00")).SetDateSentBefore(at("2026-11-24T07:59:59Z")), []int{3, 2, 1}},
	} {
		list, err := c.ListMessage(test.p)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var got []int
		for _, m := range list {
			for i, sid := range sids {
				if sid == *m.Sid {
					got = append(got, i)
				}
			}
		}
		if diff := cmp.Diff(test.want, got); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
	for query, want := range map[string]string{
		"DateSent=tomorrow":    "DateSent is not a date such as 2026-11-22, or a time: tomorrow",
		"DateSent%3E=x":        "DateSent> is not a date such as 2026-11-22, or a time: x",
		"PageSize=0":           "PageSize is not a number of a page: 0",
		"Page=-1":              "Page is not a number of a page: -1",
		"PageToken=PASMnobody": "The requested resource " + messagesPath + ".json was not found",
	} {
		_, body := request(t, s, http.MethodGet, messagesPath+".json?"+query, nil)
		if got := readFault(t, body).Message; got != want {
			t.Errorf("%s: got %s, want %s", query, got, want)
		}
	}
	for query, want := range map[string]int{
		"DateSent=2026-11-22": 2, "DateSent%3E=2026-11-23": 3, "DateSent%3C=2026-11-23": 4, "DateSent=%3E%3D2026-11-24": 1, "Page=1&PageSize=3": 2,
	} {
		_, body := request(t, s, http.MethodGet, messagesPath+".json?"+query, nil)
		if got := strings.Count(body, `"sid":`); got != want {
			t.Errorf("%s: %d texts, want %d", query, got, want)
		}
	}
	testPaging(t, s, c, sids)
}

// testPaging goes forth and back while texts arrive.
func testPaging(t *testing.T, s *Server, c *api.ApiService, sids []string) {
	t.Helper()
	first, err := c.PageMessage((&api.ListMessageParams{}).SetPageSize(2), "", "")
	if err != nil || len(first.Messages) != 2 || first.NextPageUri == nil || first.PreviousPageUri != nil || *first.Messages[0].Sid != sids[4] {
		t.Fatalf("%+v, %v", first, err)
	}
	mustText(t, s, textTo(customer, "sementara itu", ""))
	token := func(uri string) string {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		return u.Query().Get("PageToken")
	}
	second, err := c.PageMessage((&api.ListMessageParams{}).SetPageSize(2), token(*first.NextPageUri), "1")
	if err != nil || len(second.Messages) != 2 || *second.Messages[0].Sid != sids[2] || second.Page != 1 || second.Start != 2 || second.End != 3 {
		t.Fatalf("%+v, %v", second, err)
	}
	back, err := c.PageMessage((&api.ListMessageParams{}).SetPageSize(2), token(*second.PreviousPageUri), "0")
	if err != nil || len(back.Messages) != 2 || *back.Messages[0].Sid != sids[4] || *back.Messages[1].Sid != sids[3] || back.NextPageUri == nil {
		t.Fatalf("%+v, %v", back, err)
	}
	settle(t, s)
}
