package workshop

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

//go:embed project
var projectFiles embed.FS

// Project is the demo's project: sapa.yaml over the tables of Create, and the campaigns birthday, oil-change and upsell
// with their templates. sapa.yaml takes the SMTP server, Twilio's account and the public address from
// SMTP_URL, TWILIO_URL and PUBLIC_URL.
func Project() (fs.FS, error) {
	files, err := fs.Sub(projectFiles, "project")
	if err != nil {
		return nil, fmt.Errorf("read the demo's project: %w", err)
	}
	return files, nil
}

// WriteProject writes Project's files to a folder, which is made when it is absent. A file that is there already stays
// as it is.
func WriteProject(dir string) error {
	files, err := Project()
	if err != nil {
		return err
	}
	err = fs.WalkDir(files, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(dir, filepath.FromSlash(name))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		return writeNew(target, text)
	})
	if err != nil {
		return fmt.Errorf("write the demo's project: %w", err)
	}
	return nil
}

func writeNew(name string, text []byte) error {
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	return errors.Join(err, f.Close())
}
