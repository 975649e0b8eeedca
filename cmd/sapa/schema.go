package main

import (
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
)

func newSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema [campaign|segment]",
		Short: "Print the JSON Schema of campaign or segment files, for completion in your editor",
		Long: `Prints the JSON Schema of campaign files, or of those of named segments. "sapa init" writes them
to campaigns/.schema.json and segments/.schema.json already; editors with the YAML language
server find it by the first line of a file:

  # yaml-language-server: $schema=.schema.json`,
		Args: cobra.MatchAll(cobra.MaximumNArgs(1), cobra.OnlyValidArgs), ValidArgs: []string{"campaign", "segment"},
		RunE: func(_ *cobra.Command, args []string) error {
			of := campaign.JSONSchema
			if len(args) == 1 && args[0] == "segment" {
				of = campaign.SegmentSchema
			}
			b, err := of()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		},
	}
}
