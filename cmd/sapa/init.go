package main

import (
	"github.com/spf13/cobra"
)

func newInitCommand(a *app) *cobra.Command {
	return &cobra.Command{Use: "init [FOLDER]", Short: "Write a project with starters for birthday, oil change and up-sell", Args: cobra.MaximumNArgs(1)}
}
