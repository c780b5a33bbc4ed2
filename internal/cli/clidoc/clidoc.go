// Package clidoc turns a command tree into its reference in Markdown. It is used
// by the generator of docs/cli.md and by the test that the file is current; it
// reads nothing but the tree.
package clidoc

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// Markdown is the reference of root and all commands below it.
func Markdown(root *cobra.Command) []byte {
	var b bytes.Buffer
	fmt.Fprintf(&b, "# %s: command reference\n\n", root.Name())
	b.WriteString("Generated from the program by `go generate ./internal/cli`; the same text is in `--help`.\n\n")
	writeText(&b, root)
	b.WriteString("Flags that every command takes:\n\n")
	writeFlags(&b, root.PersistentFlags())
	for _, group := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n\n", strings.TrimSuffix(group.Title, ":"))
		b.WriteString("| command | does |\n|---|---|\n")
		each(root, group.ID, func(c *cobra.Command) {
			fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", c.CommandPath(), anchor(c), c.Short)
		})
		each(root, group.ID, func(c *cobra.Command) { writeCommand(&b, c, 3) })
	}
	return b.Bytes()
}

// each calls fn for the commands of a group that users see.
func each(parent *cobra.Command, group string, fn func(*cobra.Command)) {
	for _, c := range parent.Commands() {
		if c.GroupID == group && c.IsAvailableCommand() {
			fn(c)
		}
	}
}

// anchor is the link that Markdown viewers give a heading of code.
func anchor(c *cobra.Command) string {
	return strings.ReplaceAll(c.CommandPath(), " ", "-")
}

func writeCommand(b *bytes.Buffer, c *cobra.Command, level int) {
	fmt.Fprintf(b, "\n%s %s\n\n", strings.Repeat("#", level), c.CommandPath())
	writeText(b, c)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "Also: `%s`\n\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.HasAvailableLocalFlags() {
		writeFlags(b, c.LocalNonPersistentFlags())
	}
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			writeCommand(b, sub, level+1)
		}
	}
}

// writeText writes what a command is for, its form and its examples.
func writeText(b *bytes.Buffer, c *cobra.Command) {
	text := c.Long
	if text == "" {
		text = c.Short
	}
	fmt.Fprintf(b, "%s\n\n```\n%s\n```\n\n", text, c.UseLine())
	if c.Example != "" {
		fmt.Fprintf(b, "```sh\n%s\n```\n\n", unindent(c.Example))
	}
}

func unindent(s string) string {
	return strings.ReplaceAll(strings.TrimPrefix(s, "  "), "\n  ", "\n")
}

func writeFlags(b *bytes.Buffer, flags *pflag.FlagSet) {
	rows := 0
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows++; rows == 1 {
			b.WriteString("| flag | means |\n|---|---|\n")
		}
		fmt.Fprintf(b, "| %s | %s%s |\n", flagForm(f), strings.ReplaceAll(f.Usage, "|", "\\|"), defaultText(f))
	})
}

// defaultText names a default that is more than nothing.
func defaultText(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "[]", "-1":
		return ""
	}
	return fmt.Sprintf(" (default %s)", f.DefValue)
}

// flagForm is `-n`, `--name VALUE`.
func flagForm(f *pflag.Flag) string {
	long := "--" + f.Name
	switch kind := f.Value.Type(); kind {
	case "bool":
	case "string", "stringArray":
		long += " TEXT"
	case "int":
		long += " NUMBER"
	default:
		long += " " + kind
	}
	if f.Shorthand != "" {
		return fmt.Sprintf("`-%s`, `%s`", f.Shorthand, long)
	}
	return "`" + long + "`"
}
