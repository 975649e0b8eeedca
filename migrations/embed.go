// Package migrations holds Sapa's own tables as numbered SQL files, NNNN_name.sql, and brings a database up to date with
// them. Migrations only go forward: a file that has been released is never changed, a change is a new file. schema.sql
// shows where they lead, and is made by a test.
package migrations

import (
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
)

//go:embed [0-9][0-9][0-9][0-9]_*.sql
var files embed.FS

// migration is one file. Version counts from 1 without gaps.
type migration struct {
	Version  int
	Name     string // the file's name
	Checksum string // SHA-256 of the file in hex, line ends taken as LF
	sql      string
}

// load reads the numbered files of a folder in order and checks that their numbers have no gap and no repetition.
func load(from fs.FS) ([]migration, error) {
	names, err := fs.Glob(from, "[0-9][0-9][0-9][0-9]_*.sql") // sorted by name, so by number
	if err != nil {
		return nil, err
	}
	list := make([]migration, 0, len(names))
	for i, name := range names {
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return nil, err
		}
		version, err := strconv.Atoi(name[:4])
		if err != nil || version != i+1 {
			return nil, fmt.Errorf("migrations: %s should be number %04d", name, i+1)
		}
		list = append(list, newMigration(version, name, string(text)))
	}
	return list, nil
}

func newMigration(version int, name, text string) migration {
	text = strings.ReplaceAll(text, "\r\n", "\n")
	sum := sha256.Sum256([]byte(text))
	return migration{Version: version, Name: name, Checksum: hex.EncodeToString(sum[:]), sql: text}
}

// Fingerprint changes with every change of Sapa's or River's migrations. It names the databases that tests clone.
func Fingerprint() (string, error) {
	list, err := load(files)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	for _, m := range list {
		fmt.Fprintln(h, m.Name, m.Checksum)
	}
	if err := hashRiver(h); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)[:6]), nil
}
