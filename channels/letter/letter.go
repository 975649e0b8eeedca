// Package letter is the channel of letters and postcards on paper. What a campaign composes for a customer is laid out at
// once, so that a text that does not fit fails by itself, and kept in the table letters until a person has it printed, posts
// it and says so:
//
//	composed (Session.Deliver) → printed (Print: one PDF per batch) → confirmed (posted) → now and then returned
//
// The PDF is written page after page by a writer of our own (pdf.go), so that memory does not grow with the run. Each piece
// carries a code of eight characters, by which undeliverable mail is recorded back.
package letter

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/sapa-crm/sapa/channels"
)

// Name is the channel's word in campaign files.
const Name = "letter"

// Form says how a letter is written in a campaign file.
func Form() channels.Form {
	return channels.Form{
		Channel:    Name,
		About:      "A letter or postcard on paper, printed by you or a print house",
		Example:    `letter: {text: "Dear {{ customer.name }}, …"}`,
		Address:    channels.PostAddress,
		Repeatable: true,
		Parts: []channels.Part{
			{
				Key: "text", Kind: channels.Text, Required: true,
				About: "What it says: paragraphs with empty lines between them, # Headings, - items, **bold**",
			},
			{Key: "size", Kind: channels.Choice, Choices: sizeNames(), About: "The paper: a4 unless said otherwise"},
			{
				Key: "window", Kind: channels.Choice, Choices: []string{"left", "right"},
				About: "Where the envelope's window is; postcards have none",
			},
			{
				Key: "front", Kind: channels.Constant, Check: CheckFront, Pattern: frontForm, File: CheckPicture,
				About: "A picture in templates/: a postcard's picture side, a letter's head (PNG or JPEG)",
			},
			{
				Key: "link", Kind: channels.Text,
				About: "An address to visit, printed as a QR code and in short: {{ 'https://…' | link }}",
			},
		},
	}
}

// Config is what the channel needs besides the content.
type Config struct {
	Pool  *pgxpool.Pool    // whose search path is Sapa's schema
	Files fs.FS            // templates/, where pictures are
	Print Settings         // how pieces are laid out; a piece that can't be is not taken
	Now   func() time.Time // business time
}

// Channel takes letters down for whoever prints them.
type Channel struct{ cfg Config }

// New checks the configuration.
func New(cfg Config) (*Channel, error) {
	if cfg.Pool == nil || cfg.Files == nil || cfg.Now == nil {
		return nil, errors.New("the channel letter needs a database, the folder of pictures and a clock")
	}
	if err := cfg.Print.check(); err != nil {
		return nil, err
	}
	return &Channel{cfg: cfg}, nil
}

// Name is "letter".
func (c *Channel) Name() string { return Name }

// Account is "letter": there is no provider.
func (c *Channel) Account() string { return Name }

// Open looks whether the database is there: it is all that there is to connect to.
func (c *Channel) Open(ctx context.Context) (channels.Session, error) {
	if err := c.cfg.Pool.Ping(ctx); err != nil {
		return nil, channels.Unavailable(fmt.Errorf("open the list of letters: %w", err))
	}
	return newSession(c), nil
}
