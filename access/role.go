package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/sapa-crm/sapa/internal/diag"
)

// Role is what somebody is in the company; it decides what they may do in Sapa.
type Role string

// The roles.
const (
	Marketer Role = "marketer" // makes campaigns, runs them, reads what came of them
	Agent    Role = "agent"    // speaks to customers: reads and answers what they wrote
	Analyst  Role = "analyst"  // reads numbers
	Operator Role = "operator" // runs Sapa; may do everything
)

// Roles are all roles, the one with the most permissions last.
func Roles() []Role { return []Role{Marketer, Agent, Analyst, Operator} }

// ParseRole reads a role's name. Its error names those that exist.
func ParseRole(text string) (Role, error) {
	if slices.Contains(Roles(), Role(text)) {
		return Role(text), nil
	}
	names := make([]string, len(Roles()))
	for i, r := range Roles() {
		names[i] = string(r)
	}
	hint := diag.DidYouMean(text, names)
	if hint != "" {
		hint = "; " + hint
	}
	return "", fmt.Errorf("no role %q%s\n  write one of: %s", text, hint, strings.Join(names, ", "))
}

// Permission is something that one may do or not.
type Permission string

// The permissions.
const (
	ReadReports Permission = "read reports" // campaigns, runs, their numbers; nobody's address or words
	ControlRuns Permission = "control runs" // start, pause, resume, cancel, retry
	Apply       Permission = "apply"        // make a campaign's file its next version
	Approve     Permission = "approve"      // let a version run that somebody else has applied
	ReadReplies Permission = "read replies" // what customers wrote, and mark it as read
	SeeAlerts   Permission = "see alerts"   // what desks are told about customers, and mark it as done
	SendEvents  Permission = "send events"  // tell of what happened to customers, which may trigger messages
	MakeCalls   Permission = "make calls"   // take calls from the list, see whom they are to, and say what came of them
	ReadLog     Permission = "read log"     // the audit log
	ManageUsers Permission = "manage users"
	Erase       Permission = "erase" // a customer's personal data
)

// Permissions are all of them.
func Permissions() []Permission {
	return []Permission{ReadReports, ControlRuns, Apply, Approve, ReadReplies, SeeAlerts, SendEvents, MakeCalls, ReadLog, ManageUsers, Erase}
}

// Can says whether a role has a permission. This table is the only place that decides it.
func Can(role Role, p Permission) bool {
	switch role {
	case Operator:
		return slices.Contains(Permissions(), p)
	case Marketer:
		return slices.Contains([]Permission{ReadReports, ControlRuns, Apply, Approve, ReadReplies, SeeAlerts, SendEvents, ReadLog}, p)
	case Analyst:
		return p == ReadReports
	case Agent:
		return p == ReadReplies || p == SeeAlerts || p == SendEvents || p == MakeCalls
	}
	return false
}
