package main

import "github.com/jedib0t/go-pretty/v6/table"

// table starts a plain table on standard output.
func (a *app) table(columns ...any) table.Writer {
	t := table.NewWriter()
	t.SetOutputMirror(a.stdout)
	t.SetStyle(table.StyleLight)
	t.AppendHeader(columns)
	return t
}
