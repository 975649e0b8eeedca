package response

import (
	"context"
	"log/slog"
	"sync"

	"github.com/jackc/pgx/v5/pgxpool"
)

// HookOptions are the settings of Hooks; the zero value keeps what comes and settles nothing by itself.
type HookOptions struct {
	Company string             // who answers, as customers know it
	Answers map[string]Answers // by channel: what is said instead of our own words
	// Settle is called after reports are durable, with the messages whose state does not show them yet. Its error is only
	// logged: whatever it leaves, the engine's sweep finds.
	Settle func(ctx context.Context, messages []int64) error
	Priced map[string]bool // channels whose provider can be asked what a message cost
	Log    *slog.Logger    // nil: slog.Default()
}

// Hooks takes what providers tell us: reports on messages, and messages of customers. Who tells has been verified
// before. What it returns nil for is durable. It is safe for concurrent use.
type Hooks struct {
	HookOptions
	tracker *Tracker
	pool    *pgxpool.Pool

	mu     sync.Mutex
	next   *reportGroup // takes reports while another group is written
	writes bool         // a group is being written
}

// NewHooks makes Hooks that share the tracker's database and keys.
func NewHooks(t *Tracker, opts HookOptions) *Hooks {
	if opts.Log == nil {
		opts.Log = slog.Default()
	}
	return &Hooks{HookOptions: opts, tracker: t, pool: t.pool}
}
