package response

import (
	"context"
	"fmt"
	"net/url"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

type linkKey struct {
	part     string
	position int
}

// linkCache keeps the links of versions, which never change.
type linkCache struct {
	db        pg.DBTX
	mu        sync.RWMutex
	byVersion map[int32]map[linkKey]string
}

const maxVersionsKept = 1_000

// find returns a link's fixed address, or ErrNoLink.
func (c *linkCache) find(ctx context.Context, version int32, key linkKey) (string, error) {
	c.mu.RLock()
	links, ok := c.byVersion[version]
	c.mu.RUnlock()
	if !ok {
		var err error
		if links, err = c.load(ctx, version); err != nil {
			return "", err
		}
	}
	address, ok := links[key]
	if !ok {
		return "", fmt.Errorf("version %d, link %d of its %s part: %w", version, key.position, key.part, ErrNoLink)
	}
	return address, nil
}

func (c *linkCache) load(ctx context.Context, version int32) (map[linkKey]string, error) {
	rows, _ := c.db.Query(ctx, `select part, position, url from links where version_id = $1`, version)
	links := map[linkKey]string{}
	var part, address string
	var position int
	_, err := pgx.ForEachRow(rows, []any{&part, &position, &address}, func() error {
		links[linkKey{part, position}] = address
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("load the links of version %d: %w", version, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.byVersion) >= maxVersionsKept {
		clear(c.byVersion)
	}
	c.byVersion[version] = links
	return links, nil
}

// appendQuery adds the personal query to a link's fixed address: after a query it has already, before its fragment.
// Scheme, host and path can't change. Bytes that no query may have (RFC 3986 section 3.4) are escaped.
func appendQuery(address, query string) (string, error) {
	u, err := url.Parse(address)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return "", fmt.Errorf("link %q is no http or https address: %w", address, ErrNoLink)
	}
	if query == "" {
		return address, nil
	}
	before, fragment, hasFragment := strings.Cut(address, "#")
	separator := "?"
	if strings.Contains(before, "?") {
		separator = "&"
		if strings.HasSuffix(before, "?") || strings.HasSuffix(before, "&") {
			separator = ""
		}
	}
	target := before + separator + escapeQuery(query)
	if hasFragment {
		target += "#" + fragment
	}
	return target, nil
}

// escapeQuery escapes what may not stand in a query and keeps the rest, also escapes that are there already.
func escapeQuery(q string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(q) {
		c := q[i]
		if c > ' ' && c < 0x7f && !strings.ContainsRune("\"#<>[]\\^`{|}", rune(c)) {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', hex[c>>4], hex[c&15]})
	}
	return b.String()
}
