package cli

import (
	"fmt"

	"github.com/spf13/cobra"
)

func (a *app) createCommand() *cobra.Command {
	var file string
	var out format
	cmd := &cobra.Command{
		Use:   "create -f FILE",
		Short: "Create instances from a YAML or JSON file",
		Long: "Create the instances that a file describes, one a document, and print their names.\n" +
			"The fields are those of a Kubernetes PodSpec, at the top level, with cpu and memory of the\n" +
			"whole instance beside them. Nothing is created if one document cannot be read.",
		Example: example(`
cis create -f web.yaml
cis create -f - < job.json
printf 'name: hi\ncontainers: [{image: busybox, args: [echo, hi]}]\n' | cis create -f -`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if file == "" {
				return usagef("-f FILE is needed; - reads standard input")
			}
			reqs, err := readManifest(file, a.In)
			if err != nil {
				return err
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			for i, req := range reqs {
				inst, err := c.Create(cmd.Context(), req)
				if err != nil && len(reqs) > 1 {
					return fmt.Errorf("document %d: %w", i+1, err)
				}
				if err != nil {
					return err
				}
				if out.machine() {
					err = printStream(a.Out, out, inst)
				} else {
					_, err = fmt.Fprintln(a.Out, inst.Spec.Name)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().StringVarP(&file, "file", "f", "", "the file; - is standard input")
	outputFlag(cmd, &out, formatJSON, formatYAML, formatName)
	return cmd
}
