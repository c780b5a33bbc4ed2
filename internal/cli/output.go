package cli

import (
	"encoding/json"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"sigs.k8s.io/yaml"
)

// format is the value of -o; empty is the table or description for people.
type format string

// The formats that commands may offer besides the one for people.
const (
	formatJSON format = "json"
	formatYAML format = "yaml"
	formatWide format = "wide"
	formatName format = "name"
)

// formatValue is the -o flag: one of the formats that the command knows.
type formatValue struct {
	value   *format
	allowed []format
}

func (f formatValue) String() string { return string(*f.value) }
func (f formatValue) Type() string   { return "FORMAT" }

func (f formatValue) Set(s string) error {
	if !slices.Contains(f.allowed, format(s)) {
		return usagef("%q is not an output format: use %s", s, joinFormats(f.allowed))
	}
	*f.value = format(s)
	return nil
}

func joinFormats(formats []format) string {
	words := make([]string, len(formats))
	for i, f := range formats {
		words[i] = string(f)
	}
	return strings.Join(words, ", ")
}

// outputFlag adds -o to a command.
func outputFlag(cmd *cobra.Command, out *format, allowed ...format) {
	cmd.Flags().VarP(formatValue{out, allowed}, "output", "o", "output: "+joinFormats(allowed))
	words := make([]string, len(allowed))
	for i, f := range allowed {
		words[i] = string(f)
	}
	// The flag exists, which is all that could fail.
	_ = cmd.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(words, cobra.ShellCompDirectiveNoFileComp))
}

// printValue writes v as JSON or YAML.
func printValue(w io.Writer, f format, v any) error {
	if f == formatYAML {
		data, err := yaml.Marshal(v)
		if err != nil {
			return err
		}
		_, err = w.Write(data)
		return err
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "  ")
	return enc.Encode(v)
}

// printStream writes one of several values that come one by one: a line of
// JSON, or a document of YAML.
func printStream(w io.Writer, f format, v any) error {
	if f == formatYAML {
		if _, err := io.WriteString(w, "---\n"); err != nil {
			return err
		}
		return printValue(w, f, v)
	}
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	return enc.Encode(v)
}

// machine tells whether the format is for programs.
func (f format) machine() bool { return f == formatJSON || f == formatYAML }

// printList writes a list as an array, never as null.
func printList[T any](w io.Writer, f format, items []T) error {
	if items == nil {
		items = []T{}
	}
	return printValue(w, f, items)
}

// example indents the lines of a help text's examples.
func example(s string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(s), "\n", "\n  ")
}
