package twilio

import (
	"crypto/hmac"
	"crypto/sha1" //nolint:gosec // HMAC-SHA1 is Twilio's choice
	"encoding/base64"
	"maps"
	"net/url"
	"slices"
	"strings"
)

// SignatureHeader is X-Twilio-Signature.
func (c *Channel) SignatureHeader() string { return "X-Twilio-Signature" }

// signed says whether Twilio made the request: HMAC-SHA1 by the account's auth token over the URL as Twilio was told it,
// followed by the form's keys and values in the order of the keys; of a repeated key, its different values in order
// (https://www.twilio.com/docs/usage/security). Twilio is not consistent about a standard port in the URL, so that the
// URL counts with it and without.
//
// It is our own because twilio-go's RequestValidator takes only the first value of a repeated key, and cuts an IPv6
// address at its first colon.
func (c *Channel) signed(url, signature string, form url.Values) bool {
	fits := false
	for _, candidate := range withAndWithoutPort(url) {
		fits = hmac.Equal([]byte(c.sign(candidate, form)), []byte(signature)) || fits
	}
	return fits
}

func (c *Channel) sign(url string, form url.Values) string {
	mac := hmac.New(sha1.New, []byte(c.cfg.AuthToken.Reveal()))
	mac.Write([]byte(url))
	for _, key := range slices.Sorted(maps.Keys(form)) {
		for _, value := range slices.Compact(slices.Sorted(slices.Values(form[key]))) {
			mac.Write([]byte(key + value))
		}
	}
	return base64.StdEncoding.EncodeToString(mac.Sum(nil))
}

// withAndWithoutPort are the ways in which Twilio may have written a URL when it signed it: as it is, without its port,
// and with the port of its scheme. The text is cut, not parsed and written anew, which might escape it differently.
func withAndWithoutPort(raw string) []string {
	scheme, rest, ok := strings.Cut(raw, "://")
	if !ok {
		return []string{raw}
	}
	end := strings.IndexAny(rest, "/?#")
	if end < 0 {
		end = len(rest)
	}
	host, path := rest[:end], rest[end:]
	if colon := strings.LastIndexByte(host, ':'); colon > strings.LastIndexByte(host, ']') && colon > strings.LastIndexByte(host, '@') {
		return []string{raw, scheme + "://" + host[:colon] + path}
	}
	port := ":443"
	if strings.EqualFold(scheme, "http") {
		port = ":80"
	}
	return []string{raw, scheme + "://" + host + port + path}
}
