package cli

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) completionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "completion bash|zsh|fish",
		Short: "Print the completion script of a shell",
		Long:  "Print the script that completes commands, flags, and the names of instances and images.",
		Example: example(`
source <(cis completion bash)
cis completion bash > /etc/bash_completion.d/cis
cis completion zsh > "${fpath[1]}/_cis"
cis completion fish > ~/.config/fish/completions/cis.fish`),
		Args:      usageArgs(cobra.MatchAll(cobra.ExactArgs(1), cobra.OnlyValidArgs)),
		ValidArgs: []string{"bash", "zsh", "fish"},
		RunE: func(cmd *cobra.Command, args []string) error {
			switch root := cmd.Root(); args[0] {
			case "bash":
				return root.GenBashCompletionV2(a.Out, true)
			case "zsh":
				return root.GenZshCompletion(a.Out)
			default:
				return root.GenFishCompletion(a.Out, true)
			}
		},
	}
}

// completionTime is how long a shell may wait for names.
const completionTime = time.Second

// completeFunc offers words for an argument.
type completeFunc = func(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective)

// names completes the first limit arguments (negative: all) with what list gives.
// A server that does not answer offers nothing.
func (a *app) names(limit int, list func(context.Context, *client.Client) ([]string, error)) completeFunc {
	return func(cmd *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
		if limit >= 0 && len(args) >= limit {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, cancel := context.WithTimeout(cmd.Context(), completionTime)
		defer cancel()
		c, err := a.client()
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		words, err := list(ctx, c)
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return without(words, args), cobra.ShellCompDirectiveNoFileComp
	}
}

// without leaves out what stands on the line already.
func without(words, used []string) []string {
	var rest []string
	for _, w := range words {
		word, _, _ := strings.Cut(w, "\t")
		if !slices.Contains(used, word) {
			rest = append(rest, w)
		}
	}
	return rest
}

func instanceNames(ctx context.Context, c *client.Client) ([]string, error) {
	list, err := listAll(ctx, c, client.ListOptions{})
	if err != nil {
		return nil, err
	}
	var words []string
	now := time.Now()
	for i := range list.Items {
		words = append(words, list.Items[i].Spec.Name+"\t"+statusText(&list.Items[i], now))
	}
	return words, nil
}

func (a *app) completeInstances(limit int) completeFunc { return a.names(limit, instanceNames) }

func (a *app) completeImages(limit int) completeFunc {
	return a.names(limit, func(ctx context.Context, c *client.Client) ([]string, error) {
		images, err := c.Images(ctx)
		var words []string
		for _, img := range images {
			words = append(words, img.Refs...)
		}
		return words, err
	})
}

func (a *app) completeSecrets(limit int) completeFunc {
	return a.names(limit, func(ctx context.Context, c *client.Client) ([]string, error) {
		secrets, err := c.Secrets(ctx)
		var words []string
		for _, s := range secrets {
			words = append(words, s.Name)
		}
		return words, err
	})
}

// completeCopy offers NAME: and local files.
func (a *app) completeCopy(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	if len(args) >= 2 || strings.ContainsAny(toComplete, "/:.") {
		return nil, cobra.ShellCompDirectiveDefault
	}
	found, _ := a.names(2, instanceNames)(cmd, nil, toComplete)
	var words []string
	for _, w := range found {
		if name, _, _ := strings.Cut(w, "\t"); strings.HasPrefix(name, toComplete) {
			words = append(words, name+":")
		}
	}
	if len(words) == 0 {
		return nil, cobra.ShellCompDirectiveDefault
	}
	return words, cobra.ShellCompDirectiveNoSpace
}

// completeDiskPaths offers the disks, for a path to follow.
func (a *app) completeDiskPaths(cmd *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	words, directive := disks.complete(a, -1)(cmd, args, toComplete)
	return mapText(words, func(name string) string { return name + ":" }), directive | cobra.ShellCompDirectiveNoSpace
}

// completeSpecFlags offers the words that flags of run know.
func (a *app) completeSpecFlags(cmd *cobra.Command) {
	none := cobra.ShellCompDirectiveNoFileComp
	fixed := func(words ...string) completeFunc { return cobra.FixedCompletions(words, none) }
	for flag, complete := range map[string]completeFunc{
		"restart":     fixed("no", "on-failure", "always"),
		"pull":        fixed(pullWords()...),
		"isolation":   fixed("auto", "vm", "gvisor"),
		"mount":       cobra.FixedCompletions([]string{"type=emptyDir,dst=", "type=tmpfs,dst=", "type=secret,src="}, none|cobra.ShellCompDirectiveNoSpace),
		"disk":        a.completeDiskPaths,
		"pull-secret": a.completeSecrets(-1),
		"vpc":         vpcs.complete(a, -1),
		"subnet":      subnets.complete(a, -1),
		"secgroup":    secgroups.complete(a, -1),
		"public-address": a.names(-1, func(ctx context.Context, c *client.Client) ([]string, error) {
			all, err := c.Addresses(ctx)
			return append(mapText(all, addresses.name), api.AutoAddress), err
		}),
		"size": a.names(-1, func(ctx context.Context, c *client.Client) ([]string, error) {
			info, err := c.Info(ctx)
			var words []string
			for _, s := range info.Sizes {
				words = append(words, s.Name+"\t"+sizeLine(s))
			}
			return words, err
		}),
	} {
		// The flags are in specFlags, which is all that could fail.
		_ = cmd.RegisterFlagCompletionFunc(flag, complete)
	}
}
