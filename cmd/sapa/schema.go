package main

import (
	"github.com/spf13/cobra"

	"github.com/sapa-crm/sapa/campaign"
)

func newSchemaCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:   "schema",
		Short: "Print the JSON Schema of campaign files, for completion in your editor",
		Long: `Prints the JSON Schema of campaign files. "sapa init" writes it to campaigns/.schema.json
already; editors with the YAML language server find it by the first line of a campaign:

  # yaml-language-server: $schema=.schema.json`,
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			b, err := campaign.JSONSchema()
			if err != nil {
				return err
			}
			_, err = a.stdout.Write(b)
			return err
		},
	}
}
