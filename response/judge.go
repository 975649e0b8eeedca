package response

import (
	"strings"
	"unicode"
)

// Verdict says who made a hit.
type Verdict string

// The verdicts, as in table hits. Unique and total opens and clicks count people only; what machines did is counted apart.
const (
	Human   Verdict = "human"
	Proxy   Verdict = "proxy"   // a mail-privacy proxy that loads pictures whether or not the person looks
	Scanner Verdict = "scanner" // a program that checks or previews links
)

// Request is what the verdict of a hit is judged by.
type Request struct {
	Method    string
	UserAgent string
	Purpose   string // of headers Purpose, Sec-Purpose, X-Purpose and X-Moz, the first that is set
}

// Judge tells people from machines by what a single request shows, and gives its reason. An image proxy that loads a picture when
// the person opens the message (Google, Yahoo) is the person. What only several hits together show, a scanner that
// follows every link at once, the Recorder finds later.
func Judge(r Request) (Verdict, string) {
	agent := strings.ToLower(r.UserAgent)
	switch {
	case r.Method == "HEAD":
		return Scanner, "HEAD request"
	case r.Purpose != "":
		return Scanner, "prefetch"
	case agent == "":
		return Scanner, "no user agent"
	case agent == "mozilla/5.0":
		return Proxy, "Apple Mail Privacy Protection"
	case strings.HasSuffix(agent, "edge/12.246 mozilla/5.0"):
		return Proxy, "Gmail prefetch"
	case strings.Contains(agent, "googleimageproxy"):
		return Human, "through Google's image proxy"
	case strings.Contains(agent, "yahoomailproxy"):
		return Human, "through Yahoo's image proxy"
	}
	for _, part := range programs() {
		if strings.Contains(agent, part) {
			return Scanner, "program: " + part
		}
	}
	for word := range strings.FieldsFuncSeq(agent, func(r rune) bool { return !unicode.IsLetter(r) }) {
		if program := programWord(word); program != "" {
			return Scanner, "program: " + program
		}
	}
	return Human, ""
}

// programWord is what makes a whole word of a user agent a program's, if anything. The names of telephones have some of
// the same letters, and CUBOT is a maker of them.
func programWord(word string) string {
	switch {
	case strings.HasSuffix(word, "bot") && word != "cubot":
		return "bot"
	case word == "bots", word == "robots", word == "monitor", word == "monitoring", word == "lwp", word == "ruby":
		return word
	}
	return ""
}

// programs are parts of user agents that no person's mail program or browser has. Chat programs that make link previews
// are among them: a preview is not a visit.
func programs() []string {
	return []string{
		"crawl", "spider", "slurp", "preview", "scanner", "headless", "phantomjs", "validator",
		"curl/", "wget/", "python", "go-http-client", "okhttp", "java/", "apache-httpclient", "libwww",
		"axios", "node-fetch", "undici", "guzzle", "facebookexternalhit", "whatsapp/", "skypeuri", "microsoft office",
		"ms-office", "mimecast", "barracuda", "proofpoint", "symantec", "forcepoint", "fireeye", "trendmicro",
		"safelinks", "virustotal", "urlscan",
	}
}
