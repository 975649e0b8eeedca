package delivery

import (
	"context"
	"errors"
	"fmt"
	"log/slog"

	"github.com/jackc/pgx/v5"

	"github.com/sapa-crm/sapa/internal/pg"
)

// ErrForeign says that this database is not the one that Sapa's schema was made in, or adopted by: a dump was restored
// elsewhere, or the database got another name. Nothing is sent from it, lest people get what the other one sends them.
var ErrForeign = errors.New("this database is a copy")

// Place is a database: its cluster's system identifier, which no two clusters that were made by initdb share, and its name.
// A standby that is promoted keeps both, and so does a physical copy of a cluster's files.
type Place struct {
	SystemIdentifier string `json:"system_identifier"`
	Database         string `json:"database"`
}

// ForeignError is an ErrForeign with both places.
type ForeignError struct {
	Recorded, Here Place
}

func (e *ForeignError) Error() string {
	return fmt.Sprintf("this database is a copy of another one, and nothing is sent from it\n"+
		"  recorded: database %s of the cluster %s\n  here:     database %s of the cluster %s\n"+
		"  preview and dry runs work here; if this one shall send from now on, and the other one never again: sapa adopt",
		e.Recorded.Database, e.Recorded.SystemIdentifier, e.Here.Database, e.Here.SystemIdentifier)
}

// Is makes every ForeignError an ErrForeign.
func (e *ForeignError) Is(target error) bool { return target == ErrForeign }

// ReadPlaces reads the place that the schema knows and the one where it is.
func ReadPlaces(ctx context.Context, db pg.DBTX) (recorded, here Place, err error) {
	err = db.QueryRow(ctx, `
		select i.system_identifier, i.database_name, c.system_identifier::text, current_database()
		from installation i, pg_control_system() c`).
		Scan(&recorded.SystemIdentifier, &recorded.Database, &here.SystemIdentifier, &here.Database)
	if errors.Is(err, pgx.ErrNoRows) {
		return recorded, here, errors.New("the table installation is empty: Sapa's schema is not whole; restore it with all of its rows")
	}
	if err != nil {
		return recorded, here, fmt.Errorf("read which database this is: %w", err)
	}
	return recorded, here, nil
}

// CheckInstallation refuses a database that Sapa does not know as its own: a *ForeignError, which is an ErrForeign. It is
// asked before anything is sent, by whatever way.
func CheckInstallation(ctx context.Context, db pg.DBTX) error {
	recorded, here, err := ReadPlaces(ctx, db)
	if err != nil {
		return err
	}
	if recorded != here {
		return &ForeignError{Recorded: recorded, Here: here}
	}
	return nil
}

// lookHome asks again whether the database is still ours, and says when the answer changed. While it is not, nothing is
// handed over: the connections may lead elsewhere since the last look. A database that does not answer says nothing.
func (e *Engine) lookHome(ctx context.Context) error {
	err := CheckInstallation(ctx, e.books)
	foreign := errors.Is(err, ErrForeign)
	if was := e.foreign.Swap(foreign); was != foreign {
		e.Log.Error("which database this is", slog.Bool("ours", !foreign), slog.Any("error", err))
	}
	return err
}

// errForeignHere ends a hand-over in a database that is not ours.
var errForeignHere = fmt.Errorf("nothing is handed over: %w", ErrForeign)

// knowsHome is asked of each new connection that claims and verdicts go by.
func knowsHome(ctx context.Context, conn *pgx.Conn) error { return CheckInstallation(ctx, conn) }
