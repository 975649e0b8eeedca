package letter

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/sapa-crm/sapa/channels"
)

// session takes letters down. It keeps the pictures that it has read.
type session struct {
	channel  *Channel
	pictures map[string]*kept
	canvas   canvas
}

// kept is a picture that the database has.
type kept struct {
	picture *picture
	hash    []byte
}

func newSession(c *Channel) *session { return &session{channel: c, pictures: map[string]*kept{}} }

// Deliver takes down one letter after the other; see channels.Session. What can be printed is channels.ErrPending.
func (s *session) Deliver(ctx context.Context, in <-chan *channels.Message, permit func(*channels.Message) error,
	done func(*channels.Message, channels.Receipt, error),
) error {
	return channels.Singly(ctx, in, permit, done, s.take)
}

// Close has nothing to end.
func (s *session) Close() error { return nil }

func (s *session) take(ctx context.Context, m *channels.Message, permit func(*channels.Message) error) (none channels.Receipt, err error) {
	p := pieceOf(m, newCode())
	front, err := s.front(ctx, m.Parts["front"])
	if err != nil {
		return none, err
	}
	p.front = front.picture
	if err := fits(&s.channel.cfg.Print, &s.canvas, p); err != nil {
		return none, channels.Permanent(err)
	}
	if err := permit(m); err != nil {
		return none, channels.Unavailable(err)
	}
	if err := s.channel.keep(context.WithoutCancel(ctx), m.ID, p, front.hash); err != nil {
		return none, err
	}
	return none, channels.ErrPending
}

// fits lays a piece out without printing it.
func fits(settings *Settings, canvas *canvas, p *Piece) error {
	f, err := formatOf(p.Size)
	switch {
	case err != nil:
		return err
	case strings.TrimSpace(p.Text) == "":
		return errors.New("nothing is left of the text for this customer")
	case !strings.Contains(p.Address, "\n"):
		return errors.New("the address is not one of the post: lines, the last of them the country")
	case p.Link != "" && !strings.HasPrefix(p.Link, "https://") && !strings.HasPrefix(p.Link, "http://") || strings.ContainsAny(p.Link, " \n"):
		return errors.New("the link is not one address such as https://bengkel.example/booking")
	}
	p.Size = f.name
	d := drawing{canvas: canvas, settings: settings, piece: p, emit: func(bool) error { return nil }}
	return d.draw()
}

// front reads a picture, once in a session, and has it kept. A picture that can't be printed is a mistake in the campaign and
// burns no message.
func (s *session) front(ctx context.Context, name string) (*kept, error) {
	if k := s.pictures[name]; k != nil {
		return k, nil
	}
	k := &kept{}
	if name != "" {
		data, err := fs.ReadFile(s.channel.cfg.Files, name)
		if err != nil {
			return nil, channels.Unavailable(fmt.Errorf("read the picture templates/%s: %w", name, err))
		}
		if k.picture, err = readPicture(data); err != nil {
			return nil, channels.Unavailable(fmt.Errorf("templates/%s: %w", name, err))
		}
		sum := sha256.Sum256(data)
		k.hash = sum[:]
		_, err = s.channel.cfg.Pool.Exec(ctx, `insert into letter_pictures (hash, data) values ($1, $2) on conflict do nothing`, k.hash, data)
		if err != nil {
			return nil, channels.Unavailable(fmt.Errorf("keep the picture templates/%s: %w", name, err))
		}
	}
	s.pictures[name] = k
	return k, nil
}

// keep writes a piece down. One that was composed before, and is not printed yet, says what it says now; so does one that was
// withdrawn from a batch that has been posted since, and waits for the next. What lies printed stays as it is.
func (c *Channel) keep(ctx context.Context, message int64, p *Piece, front []byte) error {
	content, err := json.Marshal(p.Content)
	if err != nil {
		return channels.Permanent(fmt.Errorf("write the letter down: %w", err))
	}
	for range 10 {
		tag, err := c.cfg.Pool.Exec(ctx, `
			insert into letters (message_id, run_id, code, size, content, front, composed_at)
			select id, run_id, @code, @size, @content, @front, @now from messages where id = @message
			on conflict (message_id) do update
			set (size, content, front, batch, place) = (
				select case when free then excluded.size else letters.size end, case when free then excluded.content else letters.content end,
				       case when free then excluded.front else letters.front end,
				       case when not free then letters.batch end, case when not free then letters.place end
				from (select letters.batch is null or exists (
				      select from letter_batches b where (b.run_id, b.number) = (letters.run_id, letters.batch) and b.confirmed_at is not null) as free) f)`,
			pgx.NamedArgs{
				"code": p.Code, "size": p.Size, "content": content, "front": front, "now": c.cfg.Now(), "message": message,
			})
		switch {
		case err == nil && tag.RowsAffected() == 0:
			return channels.Permanent(errors.New("letters are printed for the messages of a run; this one has none"))
		case err == nil:
			return nil
		case !taken(err):
			return channels.Unavailable(fmt.Errorf("write the letter down: %w", err))
		}
		p.Code = newCode()
	}
	return channels.Unavailable(errors.New("write the letter down: its code is taken again and again"))
}

// taken says that another piece has the code.
func taken(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.ConstraintName == "letters_code_key"
}
