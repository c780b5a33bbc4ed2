package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"cis/api"
	"cis/client"
)

func (a *app) updateCommand() *cobra.Command {
	var groups []string
	var size sizeFlags
	cmd := a.instancesCommand("update", "Change instances, live", "Give instances another size, or put them into other security groups, live.\n"+
		"A size holds within a moment, unless more memory is in use: describe tells.\n"+
		"--secgroup puts them into those named and out of all others.", `
cis update --cpu 1 --memory 512Mi web
cis update --size large web db
cis update --container proxy --memory 64Mi web
cis update --secgroup web --secgroup monitored web`,
		func(ctx context.Context, c *client.Client, ref string) (string, error) {
			if size.given() {
				if _, err := c.Resize(ctx, ref, size.resize()); err != nil {
					return ref, err
				}
			}
			if len(groups) > 0 {
				if _, err := c.SetSecurityGroups(ctx, ref, groups...); err != nil {
					return ref, err
				}
			}
			return ref, nil
		})
	cmd.PreRunE = func(*cobra.Command, []string) error { return size.check(len(groups) > 0) }
	flags := cmd.Flags()
	flags.Var(amountValue[api.CPU]{&size.cpu, api.ParseCPU, "CORES"}, "cpu", "cpu of the instance: cores such as 0.5, or 500m")
	flags.VarP(amountValue[api.Bytes]{&size.memory, parseBytes, "BYTES"}, "memory", "m", "memory of the instance, such as 256Mi or 1Gi")
	flags.StringVar(&size.name, "size", "", "one of the server's named sizes, instead of --cpu and --memory")
	flags.StringVarP(&size.container, "container", "c", "", "--cpu and --memory are the limits of this container")
	flags.StringArrayVar(&groups, "secgroup", nil, "security group (may be repeated)")
	_ = cmd.RegisterFlagCompletionFunc("container", a.completeContainers)
	return cmd
}

// sizeFlags are what cis update takes of a size.
type sizeFlags struct {
	cpu             api.CPU
	memory          api.Bytes
	name, container string
}

func (f *sizeFlags) given() bool { return f.cpu != 0 || f.memory != 0 || f.name != "" }

// check refuses what makes no sense; other: there is another change.
func (f *sizeFlags) check(other bool) error {
	switch {
	case f.container != "" && f.name != "":
		return usagef("--container excludes --size")
	case f.container != "" && !f.given():
		return usagef("--container needs --cpu or --memory")
	case !f.given() && !other:
		return usagef("there is nothing to change: use --cpu, --memory, --size or --secgroup")
	}
	return nil
}

func (f *sizeFlags) resize() api.InstanceResize {
	limits := api.ResourceList{CPU: f.cpu, Memory: f.memory}
	if f.container != "" {
		return api.InstanceResize{Containers: []api.ContainerResize{{Name: f.container, Resources: api.Resources{Limits: limits}}}}
	}
	return api.InstanceResize{Size: f.name, CPU: limits.CPU, Memory: limits.Memory}
}

// amountValue is a flag with an amount that is not zero.
type amountValue[T api.CPU | api.Bytes] struct {
	value *T
	parse func(string) (T, error)
	kind  string
}

func (v amountValue[T]) Type() string   { return v.kind }
func (v amountValue[T]) String() string { return "" }

func (v amountValue[T]) Set(text string) (err error) {
	if *v.value, err = v.parse(text); err == nil && *v.value <= 0 {
		err = errors.New("must be more than 0")
	}
	return err
}
