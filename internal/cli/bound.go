package cli

import (
	"errors"
	"strconv"

	"github.com/spf13/cobra"

	"cis/api"
)

// bound is one of those that a quota has.
type bound struct {
	name, usage string
	// set reads text into a quota; none removes the bound.
	set func(q *api.Quota, text string) error
	// get is what a quota has of it, as text and to count with; ok: it has one.
	get func(q *api.Quota) (text string, amount int64, ok bool)
}

// noBound is the word for a bound, a budget or sizes that there are not.
const noBound = "none"

var bounds = []bound{
	boundOf("instances", "its instances that have not ended", parseCount, strconv.Itoa, func(q *api.Quota) **int { return &q.Instances }),
	boundOf("cpu", "the cores of its instances, such as 4 or 0.5", api.ParseCPU, api.CPU.String, func(q *api.Quota) **api.CPU { return &q.CPU }),
	boundOf("memory", "the memory of its instances, such as 8Gi", api.ParseBytes, api.Bytes.String, func(q *api.Quota) **api.Bytes { return &q.Memory }),
	boundOf("addresses", "its public addresses", parseCount, strconv.Itoa, func(q *api.Quota) **int { return &q.Addresses }),
	boundOf("images", "the size of its images, such as 20Gi", api.ParseBytes, api.Bytes.String, func(q *api.Quota) **api.Bytes { return &q.Images }),
	boundOf("disks", "the size of its disks and their snapshots, such as 100Gi", api.ParseBytes, api.Bytes.String, func(q *api.Quota) **api.Bytes { return &q.Disks }),
}

func boundOf[T ~int | ~int64](name, usage string, parse func(string) (T, error), text func(T) string, field func(*api.Quota) **T) bound {
	return bound{name, usage,
		func(q *api.Quota, s string) error {
			if s == noBound {
				*field(q) = nil
				return nil
			}
			v, err := parse(s)
			*field(q) = &v
			return err
		},
		func(q *api.Quota) (string, int64, bool) {
			v := *field(q)
			if v == nil {
				return "", 0, false
			}
			return text(*v), int64(*v), true
		}}
}

func parseCount(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 {
		return 0, errors.New(strconv.Quote(s) + " is not a number from 0, or " + noBound)
	}
	return n, nil
}

// quotaEdit is what flags say of a quota: what they do not name stays.
type quotaEdit []func(*api.Quota)

func (e quotaEdit) apply(q *api.Quota) {
	for _, edit := range e {
		edit(q)
	}
}

// flags adds one flag for each bound to a command.
func (e *quotaEdit) flags(cmd *cobra.Command, prefix string) {
	for _, b := range bounds {
		cmd.Flags().Var(boundValue{b, e}, prefix+b.name, "bound on "+b.usage+", or "+noBound)
	}
}

// boundValue is the flag of a bound.
type boundValue struct {
	bound
	edit *quotaEdit
}

func (v boundValue) String() string { return "" }
func (v boundValue) Type() string   { return "AMOUNT" }

func (v boundValue) Set(s string) error {
	if err := v.set(&api.Quota{}, s); err != nil {
		return err
	}
	*v.edit = append(*v.edit, func(q *api.Quota) { _ = v.set(q, s) }) // it was read before
	return nil
}
