package cli

import (
	"context"
	"math/big"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) quotaCommand() *cobra.Command {
	var out format
	cmd := &cobra.Command{
		Use: "quota [ACCOUNT]", Short: "Show what an account may own, and what it does",
		Long: "Show what an account may own at a time and in a month, and what it does: your own, unless you run\n" +
			"the service and name another.",
		Example: example(`
cis quota
cis quota shop
cis quota -A -o json`),
		Args: usageArgs(cobra.MaximumNArgs(1)), ValidArgsFunction: accounts.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.quota(cmd.Context(), args, out)
		},
	}
	outputFlag(cmd, &out, formatJSON, formatYAML)
	cmd.AddCommand(a.quotaSetCommand())
	return cmd
}

func (a *app) quota(ctx context.Context, args []string, out format) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	every := a.everyAccount() && len(args) == 0
	names, err := a.quotaAccounts(ctx, c, args)
	if err != nil {
		return err
	}
	all := make([]api.QuotaStatus, len(names))
	for i, name := range names {
		if all[i], err = c.Quota(ctx, name); err != nil {
			return err
		}
	}
	switch {
	case out.machine() && every:
		return printList(a.Out, out, all)
	case out.machine():
		return printValue(a.Out, out, all[0])
	}
	return a.quotaTable(all, every)
}

// quotaAccounts are those whose quota is shown: the named one, all, or the caller's own.
func (a *app) quotaAccounts(ctx context.Context, c *client.Client, args []string) ([]string, error) {
	if len(args) > 0 {
		return args, nil
	}
	if a.everyAccount() {
		all, err := c.Accounts(ctx)
		return mapText(all, accounts.name), err
	}
	me, err := c.WhoAmI(ctx)
	return []string{me.Account}, err
}

func (a *app) quotaTable(all []api.QuotaStatus, every bool) error {
	header := []string{"WHAT", "USED", "LIMIT", "PERCENT"}
	if every {
		header = append([]string{"ACCOUNT"}, header...)
	}
	t := newTable(a.palette(a.Out), header...)
	for i := range all {
		for _, row := range quotaRows(&all[i]) {
			if every {
				row = append([]string{all[i].Account}, row...)
			}
			t.add(row...)
		}
	}
	return t.write(a.Out)
}

// quotaRows are what is used of each bound, and of the budget if there is one.
func quotaRows(q *api.QuotaStatus) (rows [][]string) {
	for _, b := range bounds {
		used, have, _ := b.get(&q.Used)
		limit, whole, bounded := b.get(&q.Limits)
		if !bounded {
			limit = noBound
		}
		rows = append(rows, []string{b.name, used, limit, percent(have, whole)})
	}
	if q.Budget == nil {
		return rows
	}
	return append(rows, []string{"budget of the month", string(q.Spent), string(q.Budget.Amount), percent(millionths(q.Spent), millionths(q.Budget.Amount))})
}

// millionths is a decimal to count with; 0 if it is none.
func millionths(d api.Decimal) int64 {
	r, ok := d.Rat()
	if !ok {
		return 0
	}
	r.Mul(r, big.NewRat(1e6, 1))
	return new(big.Int).Quo(r.Num(), r.Denom()).Int64()
}

func (a *app) quotaSetCommand() *cobra.Command {
	var edit quotaEdit
	var out format
	cmd := &cobra.Command{
		Use: "set ACCOUNT", Short: "Change what an account may own",
		Long: "Change what an account may own at a time. What no flag names stays. What the account has already it\n" +
			"keeps, even beyond its new quota.",
		Example: example(`
cis quota set shop --instances 20 --cpu 8 --memory 32Gi
cis quota set shop --addresses none`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: accounts.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(edit) == 0 {
				return usagef("there is no bound to change: use --instances, --cpu, --memory, --addresses, --images or --disks")
			}
			return a.changeAccount(cmd.Context(), args[0], out, func(before api.Account, u *api.AccountUpdate) error {
				u.Quota = &before.Quota
				edit.apply(u.Quota)
				return nil
			})
		},
	}
	edit.flags(cmd, "")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}
