package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var accounts = resource[api.Account]{
	command: "account", many: "accounts", example: "shop", other: "lab",
	removal: "One that owns something is refused, with what that is.\nWhat an account has used, and what was done for it, stays on record.",
	header:  []string{"NAME", "STATE", "INSTANCES", "CPU", "MEMORY", "SIZES", "BUDGET", "AGE"},
	row: func(v api.Account, now time.Time) []string {
		row := []string{v.Name, stateText(v.Disabled)}
		for _, b := range bounds[:3] {
			text, _, _ := b.get(&v.Quota)
			row = append(row, text)
		}
		return append(row, strings.Join(mapText(v.Sizes, sizeName), ","), budgetText(v.Budget), since(now, v.CreatedAt))
	},
	show: (*description).account,
	name: func(v api.Account) string { return v.Name },
	list: (*client.Client).Accounts, get: (*client.Client).Account, remove: (*client.Client).RemoveAccount,
}

func (d *description) account(v api.Account) {
	d.line("Name", v.Name)
	d.line("State", stateText(v.Disabled))
	d.lines("Labels", sortedPairs(v.Labels))
	d.line("Created", d.time(&v.CreatedAt))
	d.section("At most", func() {
		for _, b := range bounds {
			text, _, ok := b.get(&v.Quota)
			if !ok {
				text = "any"
			}
			d.line(b.name, text)
		}
	})
	d.lines("Sizes", mapText(v.Sizes, func(s api.Size) string { return joinText(s.Name, sizeLine(s)) }))
	d.line("Budget", budgetText(v.Budget))
}

// sizeName is what a size is called, or else the size itself.
func sizeName(s api.Size) string { return firstOf(s.Name, fmt.Sprintf("%s/%s", s.CPU, s.Memory)) }

func budgetText(b *api.Budget) string {
	switch {
	case b == nil:
		return ""
	case b.Stop:
		return string(b.Amount) + " a month, then stop"
	}
	return string(b.Amount) + " a month"
}

func (a *app) accountCommand() *cobra.Command {
	cmd := accounts.parent("Make and change accounts",
		"Make and change accounts, as whoever runs the service. Instances, networks, addresses, secrets and\n"+
			"usage belong to an account, and no other account sees them.", `
cis account create shop --quota-instances 20 --quota-memory 32Gi
cis key create --account shop
cis ps --account shop`)
	cmd.AddCommand(a.accountCreateCommand(), a.accountUpdateCommand(), accounts.listCommand(a), accounts.inspectCommand(a), accounts.rmCommand(a))
	cmd.AddCommand(accounts.switches(a, "All their requests are refused; what runs goes on.",
		func(c *client.Client, ctx context.Context, name string, disabled bool) error {
			_, err := c.UpdateAccount(ctx, name, api.AccountUpdate{Disabled: &disabled})
			return err
		})...)
	return cmd
}

// accountFlags are what create and update say of an account.
type accountFlags struct {
	labels map[string]string
	quota  quotaEdit
	sizes  []string
	budget string
	stop   bool
	out    format
}

func (f *accountFlags) add(cmd *cobra.Command) {
	f.quota.flags(cmd, "quota-")
	cmd.Flags().StringArrayVar(&f.sizes, "size", nil, "NAME=CPU,MEMORY of a size that its instances may have, and then no other (may be repeated), or none for any")
	cmd.Flags().StringVar(&f.budget, "budget", "", "bound on what it may cost in a month, in the currency of the prices, or none")
	cmd.Flags().BoolVar(&f.stop, "budget-stop", false, "stop its instances when the budget is used up, instead of refusing new ones only")
	labelFlag(cmd, &f.labels)
	outputFlag(cmd, &f.out, formatJSON, formatYAML)
}

// update is what the flags change of an account.
func (f *accountFlags) update(cmd *cobra.Command, before api.Account, u *api.AccountUpdate) (err error) {
	u.Labels = f.labels
	if len(f.quota) > 0 {
		u.Quota = &before.Quota
		f.quota.apply(u.Quota)
	}
	if f.sizes != nil {
		if u.Sizes, err = parseSizes(f.sizes); err != nil {
			return err
		}
	}
	u.Budget, err = f.newBudget(before.Budget, cmd.Flags().Changed("budget-stop"))
	return err
}

// newBudget is nil where the flags change nothing of it.
func (f *accountFlags) newBudget(before *api.Budget, stopGiven bool) (*api.Budget, error) {
	var b api.Budget
	if before != nil {
		b = *before
	}
	switch {
	case f.budget == noBound && f.stop:
		return nil, usagef("--budget-stop needs a --budget")
	case f.budget == noBound:
		return &api.Budget{}, nil
	case f.budget == "" && !stopGiven:
		return nil, nil
	case f.budget == "" && before == nil:
		return nil, usagef("--budget-stop needs a --budget")
	case f.budget != "":
		b.Amount = api.Decimal(f.budget)
	}
	if stopGiven {
		b.Stop = f.stop
	}
	return &b, nil
}

// parseSizes reads --size; the word none alone is an empty list.
func parseSizes(texts []string) ([]api.Size, error) {
	sizes := []api.Size{}
	if len(texts) == 1 && texts[0] == noBound {
		return sizes, nil
	}
	for _, text := range texts {
		s, err := parseSize(text)
		if err != nil {
			return nil, usagef("--size: %q is not NAME=CPU,MEMORY, such as small=0.5,512Mi: %w", text, err)
		}
		sizes = append(sizes, s)
	}
	return sizes, nil
}

func parseSize(text string) (s api.Size, err error) {
	name, amounts, named := strings.Cut(text, "=")
	cpu, memory, both := strings.Cut(amounts, ",")
	if !named || !both || name == "" {
		return s, fmt.Errorf("a part is missing")
	}
	s.Name = name
	if s.CPU, err = api.ParseCPU(cpu); err != nil {
		return s, err
	}
	s.Memory, err = api.ParseBytes(memory)
	return s, err
}

func (a *app) accountCreateCommand() *cobra.Command {
	var f accountFlags
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make an account",
		Long: "Make an account, with a user admin and a network of its own. What no flag bounds is not bounded.",
		Example: example(`
cis account create shop
cis account create shop --quota-instances 20 --quota-cpu 8 --quota-memory 32Gi --quota-addresses 2
cis account create shop --size small=0.5,512Mi --size large=2,4Gi --budget 120.50 --budget-stop`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			v := api.Account{Name: args[0]}
			var u api.AccountUpdate
			if err := f.update(cmd, v, &u); err != nil {
				return err
			}
			v.Labels, v.Sizes = u.Labels, u.Sizes
			if u.Quota != nil {
				v.Quota = *u.Quota
			}
			if u.Budget != nil && u.Budget.Amount != "" {
				v.Budget = u.Budget
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			made, err := c.CreateAccount(cmd.Context(), v)
			if err != nil {
				return err
			}
			return accounts.printMade(a, made, f.out)
		},
	}
	f.add(cmd)
	return cmd
}

func (a *app) accountUpdateCommand() *cobra.Command {
	var f accountFlags
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change an account",
		Long: "Change the quota, sizes, budget and labels of an account. What no flag names stays; --size and\n" +
			"--label replace all there were. What the account has already it keeps, even beyond its new quota.",
		Example: example(`
cis account update shop --quota-instances 40
cis account update shop --size none --budget 200
cis account update shop --budget none`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: accounts.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeAccount(cmd.Context(), args[0], f.out, func(before api.Account, u *api.AccountUpdate) error {
				return f.update(cmd, before, u)
			})
		},
	}
	f.add(cmd)
	return cmd
}

// changeAccount reads an account, lets edit say what changes, and sends that for the
// account as it was read.
func (a *app) changeAccount(ctx context.Context, name string, out format, edit func(api.Account, *api.AccountUpdate) error) error {
	c, err := a.client()
	if err != nil {
		return err
	}
	before, err := c.Account(ctx, name)
	if err != nil {
		return err
	}
	u := api.AccountUpdate{Revision: before.Revision}
	if err := edit(before, &u); err != nil {
		return err
	}
	changed, err := c.UpdateAccount(ctx, name, u)
	if err != nil {
		return err
	}
	return accounts.printMade(a, changed, out)
}
