package main

import (
	"io"
	"log/slog"
	"os"
	"os/user"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"
)

// app is what the process gives to its verbs: streams, environment and clock, so that tests can give others.
type app struct {
	stdin          io.Reader
	stdout, stderr io.Writer
	env            func(string) string
	now            func() time.Time
	dir            string         // the project's folder
	level          slog.Level     // of the log, where SAPA_LOG does not say
	companyZone    *time.Location // what zone has found

	interactive func(in io.Reader, out io.Writer) bool // whether a person can be asked
}

func newApp(env func(string) string, stdin io.Reader, stdout, stderr io.Writer) *app {
	return &app{stdin: stdin, stdout: stdout, stderr: stderr, env: env, now: time.Now, level: slog.LevelError, interactive: interactive}
}

// commands lists every verb.
func (a *app) commands() []*cobra.Command {
	return []*cobra.Command{
		newInitCommand(a), newLayoutsCommand(a), newImportCommand(a), newDoctorCommand(a), newMigrateCommand(a),
		newValidateCommand(a), newPreviewCommand(a), newApplyCommand(a), newApproveCommand(a), newSegmentCommand(a), newHolidaysCommand(a), newSchemaCommand(a),
		newRunCommand(a), newServeCommand(a), newWorkCommand(a), newPauseCommand(a), newResumeCommand(a), newCancelCommand(a), newRetryCommand(a),
		newEventCommand(a), newEventsCommand(a),
		newStatusCommand(a), newReportCommand(a), newMessagesCommand(a), newResolveCommand(a), newLettersCommand(a), newRepliesCommand(a), newCallsCommand(a), newAlertsCommand(a), newCheckCommand(a), newAdoptCommand(a),
		newSuppressCommand(a), newConsentCommand(a), newWhyCommand(a),
		newUserCommand(a), newLogCommand(a),
		newEraseCommand(a), newExportCustomerCommand(a), newRetentionCommand(a), newPruneCommand(a),
		newSandboxCommand(a), newDemoCommand(a), newDrillCommand(a), newDrillWorkerCommand(a),
	}
}

// terminal tells whether a person looks at the stream.
func terminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// actor names who acts, for the audit log: SAPA_ACTOR, else the account of the operating system.
func (a *app) actor() string {
	if name := a.env("SAPA_ACTOR"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "unknown"
}
