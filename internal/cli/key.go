package cli

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

var keys = resource[api.Key]{
	command: "key", many: "keys", example: "token-0123456789ab", other: "token-ba9876543210", ref: "ID",
	removal: "From then on they prove nothing.",
	header:  []string{"ID", "TYPE", "USER", "STATE", "EXPIRES", "LAST USED", "AGE", "DESCRIPTION"},
	row: func(k api.Key, now time.Time) []string {
		return []string{k.ID, string(k.Type), k.User, keyState(&k, now), expiryText(&k, now), lastUseText(&k, now), since(now, k.CreatedAt), k.Description}
	},
	name:    func(k api.Key) string { return k.ID },
	account: func(k api.Key) string { return k.Account },
	list:    (*client.Client).Keys, remove: (*client.Client).RemoveKey,
}

func keyState(k *api.Key, now time.Time) string {
	if k.ExpiresAt != nil && !now.Before(*k.ExpiresAt) {
		return "expired"
	}
	return stateText(k.Disabled)
}

func expiryText(k *api.Key, now time.Time) string {
	switch {
	case k.ExpiresAt == nil:
		return "never"
	case now.Before(*k.ExpiresAt):
		return "in " + ago(k.ExpiresAt.Sub(now))
	}
	return ago(now.Sub(*k.ExpiresAt)) + " ago"
}

// lastUseText is as exact as what it says, which is an hour.
func lastUseText(k *api.Key, now time.Time) string {
	switch {
	case k.LastUsedAt == nil:
		return "never"
	case now.Sub(*k.LastUsedAt) < time.Hour:
		return "within 1h"
	}
	return ago(now.Sub(*k.LastUsedAt)) + " ago"
}

func (a *app) keyCommand() *cobra.Command {
	cmd := keys.parent("Make and change keys",
		"Make and change the keys of an account's users. A signing key signs requests to the cloud API; a\n"+
			"token goes with requests to cisd over https, as cis --token does. Secrets are shown once: when they\n"+
			"are made.", `
cis key create
cis key create --user ci --token --expires 90d
cis key rotate token-0123456789ab --overlap 24h`)
	cmd.AddCommand(a.keyCreateCommand(), a.keyUpdateCommand(), a.keyRotateCommand(), keys.listCommand(a), keys.rmCommand(a))
	cmd.AddCommand(keys.switches(a, "All requests with them are refused.",
		func(c *client.Client, ctx context.Context, id string, disabled bool) error {
			_, err := c.UpdateKey(ctx, id, api.KeyUpdate{Disabled: &disabled})
			return err
		})...)
	return cmd
}

// printSecret shows a key with its secret, which is nowhere else.
func (a *app) printSecret(k api.Key, out format) error {
	if out.machine() {
		return printValue(a.Out, out, k)
	}
	d := newDescription(a.palette(a.Out))
	d.line("Account", k.Account)
	d.line("User", k.User)
	d.line("Expires", d.expiry(&k))
	if k.Type == api.KeyToken {
		d.line("ID", k.ID)
		d.line("Token", k.Token)
	} else {
		d.line("Secret ID", k.SecretID)
		d.line("Secret key", k.SecretKey)
	}
	if err := d.write(a.Out); err != nil {
		return err
	}
	_, err := fmt.Fprintln(a.Err, "The secret is shown only now: nobody can look it up later. Keep it where only its user can read it.")
	return err
}

func (d *description) expiry(k *api.Key) string {
	if k.ExpiresAt == nil {
		return "never"
	}
	return fmt.Sprintf("%s (%s)", k.ExpiresAt.In(d.now.Location()).Format(time.RFC3339), expiryText(k, d.now))
}

// expiryValue is the flag of a time to come.
type expiryValue struct{ at **time.Time }

func (v expiryValue) String() string { return "" }
func (v expiryValue) Type() string   { return "TIME" }

func (v expiryValue) Set(s string) error {
	if d, err := parseSpan(s); err == nil {
		at := time.Now().UTC().Add(d)
		*v.at = &at
		return nil
	}
	at, err := parseMoment(s, time.Now())
	if err != nil {
		return errors.New(strconv.Quote(s) + " is not a duration such as 90d or 12h, a date such as 2026-12-31, or a time such as 2026-12-31T12:00:00Z")
	}
	*v.at = &at
	return nil
}

// parseSpan reads a duration; d stands for 24 hours.
func parseSpan(s string) (time.Duration, error) {
	if days, ok := strings.CutSuffix(s, "d"); ok {
		n, err := strconv.ParseUint(days, 10, 16)
		if err != nil {
			return 0, errors.New(strconv.Quote(s) + " is not a number of days")
		}
		return time.Duration(n) * 24 * time.Hour, nil
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, errors.New(strconv.Quote(s) + " is not a duration such as 24h or 7d")
	}
	return d, nil
}

func (a *app) keyCreateCommand() *cobra.Command {
	var k api.Key
	var token bool
	var out format
	cmd := &cobra.Command{
		Use: "create", Short: "Make a key, and show its secret once",
		Long: "Make a key of a user: one that signs requests to the cloud API or, with --token, a bearer token for\n" +
			"requests over https. The secret is shown now and never again.",
		Example: example(`
cis key create --description "for the deploy job"
cis key create --user ci --token --expires 90d
cis key create --account shop -o json > key.json`),
		Args: usageArgs(cobra.NoArgs), ValidArgsFunction: cobra.NoFileCompletions,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.client()
			if err != nil {
				return err
			}
			if token {
				k.Type = api.KeyToken
			}
			made, err := c.CreateKey(cmd.Context(), k)
			if err != nil {
				return err
			}
			return a.printSecret(made, out)
		},
	}
	cmd.Flags().StringVar(&k.User, "user", "", "whose key it is (default: the account's "+api.DefaultUser+")")
	cmd.Flags().BoolVar(&token, "token", false, "a bearer token instead of a key that signs")
	cmd.Flags().Var(expiryValue{&k.ExpiresAt}, "expires", "from when on it is refused: a duration from now such as 90d, a date (UTC) or a time (default: never)")
	cmd.Flags().StringVar(&k.Description, "description", "", "what it is for")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("user", users.complete(a, -1))
	return cmd
}

func (a *app) keyUpdateCommand() *cobra.Command {
	var u api.KeyUpdate
	var description string
	var out format
	cmd := &cobra.Command{
		Use: "update ID", Short: "Change when a key expires, or what it is for",
		Long: "Change when a key expires, or its description. What no flag names stays.",
		Example: example(`
cis key update token-0123456789ab --expires 30d
cis key update token-0123456789ab --description "for the deploy job"`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: keys.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if cmd.Flags().Changed("description") {
				u.Description = &description
			}
			if u.Description == nil && u.ExpiresAt == nil {
				return usagef("there is nothing to change: use --expires or --description")
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			changed, err := c.UpdateKey(cmd.Context(), args[0], u)
			if err != nil {
				return err
			}
			return keys.printMade(a, changed, out)
		},
	}
	cmd.Flags().Var(expiryValue{&u.ExpiresAt}, "expires", "from when on it is refused: a duration from now such as 90d, a date (UTC) or a time")
	cmd.Flags().StringVar(&description, "description", "", "what it is for")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}

func (a *app) keyRotateCommand() *cobra.Command {
	var overlap string
	var out format
	cmd := &cobra.Command{
		Use: "rotate ID", Short: "Make a key in place of another, and show its secret once",
		Long: "Make a key of the same user, type and description in place of another. The old one ends at once, or\n" +
			"after --overlap, so that programs have the time to take the new one.",
		Example: example(`
cis key rotate token-0123456789ab
cis key rotate token-0123456789ab --overlap 24h -o json`),
		Args: usageArgs(cobra.ExactArgs(1)), ValidArgsFunction: keys.complete(a, 1),
		RunE: func(cmd *cobra.Command, args []string) error {
			span, err := parseSpan(overlap)
			if err != nil {
				return usagef("--overlap: %w", err)
			}
			c, err := a.client()
			if err != nil {
				return err
			}
			next, err := c.RotateKey(cmd.Context(), args[0], api.KeyRotation{OverlapSeconds: int64(span / time.Second)})
			if err != nil {
				return err
			}
			return a.printSecret(next, out)
		},
	}
	cmd.Flags().StringVar(&overlap, "overlap", "0s", "how long the old key still works, at most 30d")
	outputFlag(cmd, &out, formatJSON, formatYAML)
	return cmd
}
