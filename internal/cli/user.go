package cli

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var users = resource[api.User]{
	command: "user", many: "users", example: "ann", other: "bob",
	removal: "Their keys go with them. An account keeps at least one admin.",
	header:  []string{"NAME", "ROLE", "STATE", "AGE"},
	row: func(u api.User, now time.Time) []string {
		return []string{u.Name, string(u.Role), stateText(u.Disabled), since(now, u.CreatedAt)}
	},
	name:    func(u api.User) string { return u.Name },
	account: func(u api.User) string { return u.Account },
	list:    (*client.Client).Users, remove: (*client.Client).RemoveUser,
}

func (a *app) userCommand() *cobra.Command {
	cmd := users.parent("Make and change the users of an account",
		"Make and change the users of an account: people and programs, each with a role and keys of its own.\n"+
			"A viewer sees what the account owns, an operator also changes it, an admin also manages users and\n"+
			"keys.", `
cis user create ann --role admin
cis user create ci
cis key create --user ci --token`)
	cmd.AddCommand(a.userCreateCommand(), a.userUpdateCommand(), users.listCommand(a), users.rmCommand(a))
	cmd.AddCommand(users.switches(a, "All their requests are refused, whatever the key.",
		func(c *client.Client, ctx context.Context, name string, disabled bool) error {
			_, err := c.UpdateUser(ctx, name, api.UserUpdate{Disabled: &disabled})
			return err
		})...)
	return cmd
}

func roleFlag(cmd *cobra.Command, role *api.Role, usage string) {
	cmd.Flags().StringVar((*string)(role), "role", "", usage)
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("role", cobra.FixedCompletions([]string{string(api.RoleViewer), string(api.RoleOperator), string(api.RoleAdmin)},
		cobra.ShellCompDirectiveNoFileComp))
}

func (a *app) userCreateCommand() *cobra.Command {
	var u api.User
	var out format
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a user",
		Long: "Make a user of the account. It can do nothing before it has a key: see 'cis key create'.",
		Example: example(`
cis user create ci
cis user create ann --role admin
cis user create monitor --role viewer --account shop`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			u.Name = args[0]
			made, err := c.CreateUser(cmd.Context(), u)
			if err != nil {
				return err
			}
			return users.printMade(a, made, out)
		},
	}
	roleFlag(cmd, &u.Role, "viewer, operator or admin (default operator)")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) userUpdateCommand() *cobra.Command {
	var u api.UserUpdate
	var out format
	cmd := &cobra.Command{
		Use: "update NAME", Short: "Change a user's role",
		Long: "Change a user's role, which holds for all the user's keys at once. An account keeps an admin.",
		Example: example(`
cis user update ann --role viewer
cis user update ann --role admin`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: users.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if u.Role == "" {
				return usagef("there is nothing to change: use --role")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdateUser(cmd.Context(), args[0], u)
			if err != nil {
				return err
			}
			return users.printMade(a, changed, out)
		},
	}
	roleFlag(cmd, &u.Role, "viewer, operator or admin")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}
