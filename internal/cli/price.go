package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"cis/api"
)

func (a *app) priceCommand() *cobra.Command {
	var opts api.PriceOptions
	var cpu, memory, storage string
	var out format
	cmd := &cobra.Command{
		Use:   "price",
		Short: "Show what an instance costs",
		Long: "Show what an instance of a size costs for each hour and second in which it runs. What no flag\n" +
			"says is as for an instance that says nothing.",
		Example: example(`
cis price
cis price --cpu 2 --memory 4Gi
cis price --cpu 1 --memory 2Gi --isolation vm -o json`),
		Args:              usageArgs(cobra.NoArgs),
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			if cpu != "" {
				if opts.CPU, err = api.ParseCPU(cpu); err != nil {
					return usagef("--cpu: %v", err)
				}
			}
			if opts.Memory, err = parseAmount("memory", memory); err != nil {
				return err
			}
			if opts.EphemeralStorage, err = parseAmount("ephemeral-storage", storage); err != nil {
				return err
			}
			return a.price(cmd.Context(), opts, out)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&cpu, "cpu", "", "processors, such as 0.5")
	flags.StringVarP(&memory, "memory", "m", "", "memory, such as 256Mi or 1Gi")
	flags.StringVar(&storage, "ephemeral-storage", "", "ephemeral storage, such as 1Gi")
	flags.StringVar((*string)(&opts.Isolation), "isolation", "", "auto, vm or gvisor")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("isolation", cobra.FixedCompletions([]string{"auto", "vm", "gvisor"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// parseAmount reads a flag of bytes; empty: none.
func parseAmount(flag, text string) (api.Bytes, error) {
	if text == "" {
		return 0, nil
	}
	b, err := api.ParseBytes(text)
	if err != nil {
		return 0, usagef("--%s: %v", flag, err)
	}
	return b, nil
}

func (a *app) price(ctx context.Context, opts api.PriceOptions, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	p, err := c.Price(ctx, opts)
	if err != nil {
		return err
	}
	if out.machine() {
		return printValue(a.Out, out, p)
	}
	d := newDescription(a.palette(a.Out))
	d.price(&p)
	return d.write(a.Out)
}

func (d *description) price(p *api.Price) {
	d.line("Size", fmt.Sprintf("%s cpu, %s, %s of storage", p.CPU, p.Memory, p.EphemeralStorage))
	d.line("Isolation", string(p.Isolation))
	if p.Currency == "" {
		d.line("Price", "nothing: the server has no price list")
		return
	}
	fixed := ""
	if p.Fixed {
		fixed = " (a price for this size)"
	}
	d.line("Per hour", string(p.PerHour)+" "+p.Currency+fixed)
	d.line("Per second", string(p.PerSecond)+" "+p.Currency)
	d.line("Public address", string(p.AddressHour)+" "+p.Currency+" per hour")
	d.line("Sent", string(p.GiBOut)+" "+p.Currency+" per GiB")
	if p.DiscountPercent != "" {
		d.line("Discount", string(p.DiscountPercent)+"%, included")
	}
}
