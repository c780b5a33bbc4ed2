package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"cis/api"
)

// The exit codes of cis itself; those of programs are passed through.
const (
	exitFailure = 1
	exitUsage   = 2
	// exitCis is for a failure of cis where the code could else be the
	// program's: run, exec, attach (docker's convention).
	exitCis = 125
)

// passesExitCode marks the commands that exit with a program's code.
const passesExitCode = "passes-exit-code"

// exitError ends cis with a code and, if err is set, that message.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string {
	if e.err == nil {
		return fmt.Sprintf("exit code %d", e.code)
	}
	return e.err.Error()
}

func (e *exitError) Unwrap() error { return e.err }

// exitWith is nil for code 0.
func exitWith(code int, err error) error {
	if code == 0 && err == nil {
		return nil
	}
	return &exitError{code: code, err: err}
}

// usageError is a command line that can never work.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func usagef(format string, args ...any) error {
	return &usageError{fmt.Errorf(format, args...)}
}

// flagError turns pflag's errors into usage errors; a value's own words stand
// behind the flag's name, without pflag's sentence around them.
func flagError(_ *cobra.Command, err error) error {
	var bad *pflag.InvalidValueError
	if errors.As(err, &bad) && bad.Unwrap() != nil {
		return usagef("--%s: %w", bad.GetFlag().Name, bad.Unwrap())
	}
	return &usageError{err}
}

// usageArgs makes a check of positional arguments a usage error.
func usageArgs(check cobra.PositionalArgs) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if err := check(cmd, args); err != nil {
			return &usageError{err}
		}
		return nil
	}
}

// exitCode prints what went wrong and gives the code to exit with.
func (a *app) exitCode(cmd *cobra.Command, err error) int {
	if err == nil {
		return 0
	}
	code, show := exitFailure, err
	var exit *exitError
	var usage *usageError
	switch {
	case errors.As(err, &exit):
		code, show = exit.code, exit.err
	case errors.As(err, &usage), isUnknownCommand(err):
		a.printError(err)
		fmt.Fprintf(a.Err, "  → see '%s --help'\n", cmd.CommandPath())
		return exitUsage
	case cmd.Annotations[passesExitCode] != "":
		code = exitCis
	}
	if show != nil {
		a.printError(show)
	}
	return code
}

// isUnknownCommand knows cobra's own error, which has no type.
func isUnknownCommand(err error) bool {
	return strings.HasPrefix(err.Error(), "unknown command ")
}

// printError writes a line with the cause and one with the next step, for each
// mistake of a request that has several.
func (a *app) printError(err error) {
	var e *api.Error
	switch {
	case errors.As(err, &e):
		// What was wrapped around it says where it happened.
		where, _ := strings.CutSuffix(err.Error(), e.Error())
		mistakes := e.Errors
		if len(mistakes) == 0 {
			mistakes = []*api.Error{e}
		}
		for _, m := range mistakes {
			text := m.Message
			if m.Field != "" {
				text = m.Field + ": " + text
			}
			a.printLines(where+text, m.Next)
		}
	case errors.Is(err, context.Canceled):
		a.printLines("interrupted", "")
	default:
		a.printLines(err.Error(), "")
	}
}

func (a *app) printLines(text, next string) {
	fmt.Fprintf(a.Err, "cis: %s\n", clean(text))
	if next != "" {
		fmt.Fprintf(a.Err, "  → %s\n", clean(next))
	}
}
