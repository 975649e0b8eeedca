package workshop

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/sapa-crm/sapa/sandbox"
)

//go:embed sample/*.csv starter
var sample embed.FS

// Starter is the project with which somebody begins: that of the demo, with the oil change by mail, too, over tables which
// the sample files, in data/, are imported into, sent by the sandbox. Files are named as in a project's folder.
func Starter() (map[string]string, error) {
	project, err := Project()
	if err != nil {
		return nil, err
	}
	files := map[string]string{}
	if err := read(project, ".", "", files); err != nil {
		return nil, err
	}
	if err := read(sample, "sample", "data", files); err != nil {
		return nil, err
	}
	if err := read(sample, "starter", ".", files); err != nil {
		return nil, err
	}
	files["sapa.yaml"] = starterConfig.Replace(files["sapa.yaml"])
	return files, nil
}

var starterConfig = strings.NewReplacer(
	Schema+".", "data.",
	`"${SMTP_URL}"`, `"smtp://127.0.0.1:2525"`,
	"${PUBLIC_URL}", "http://127.0.0.1:8080",
	"channels:", "# These are the mail server and the Twilio of `sapa sandbox`, which deliver nothing. Real ones come from the environment:\n"+
		"# smtp: \"${SMTP_URL}\", with SMTP_URL=smtp://user:password@mail.your-company.example:587\n"+
		"# twilio: \"${TWILIO_URL}\", with TWILIO_URL=https://ACxxx:token@api.twilio.com\nchannels:",
	`"${TWILIO_URL}"`, `"http://`+sandbox.DefaultAccountSID+":"+sandbox.DefaultAuthToken+`@127.0.0.1:8025"`,
	"\n\npublic_url:", "\n\n# Where customers reach `sapa serve`; behind your proxy, such as https://sapa.your-company.example\npublic_url:",
)

func read(from fs.FS, root, to string, into map[string]string) error {
	err := fs.WalkDir(from, root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := fs.ReadFile(from, name)
		if err != nil {
			return err
		}
		into[path.Join(to, strings.TrimPrefix(name, root+"/"))] = string(text)
		return nil
	})
	if err != nil {
		return fmt.Errorf("read starter: %w", err)
	}
	return nil
}
