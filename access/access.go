// Package access is about who may do what, and who did it: users and their roles, passwords, tokens and sessions, and the
// audit log.
package access
