package main

import (
	"context"
	"log/slog"

	"cis/internal/agent"
	"cis/internal/agent/guest"
	"cis/internal/agent/linux"
)

// runGuest is the first process of a microVM. It never returns but with an error: a
// kernel without its first process panics, which ends the VM.
func runGuest(ctx context.Context, log *slog.Logger) error {
	g, err := guest.Boot(ctx)
	if err != nil {
		return err
	}
	rt, err := linux.New(linux.Config{
		Tool: guest.Tool, Dir: "/run/cis", Cgroup: "/cis", Disk: g.Image, Layer: g.Layer, Volume: g.Volume,
	})
	if err != nil {
		return err
	}
	g.Warm = func(ctx context.Context) error {
		if err := agent.Rehearse(ctx, rt.Rehearsal(guest.StateDir), guest.StateDir); err != nil {
			return err
		}
		return rt.MakeAhead(ctx)
	}
	go rt.Reap(ctx)
	go guest.KeepTime(ctx, log)
	failed := make(chan error, 2)
	go func() { failed <- g.Serve(ctx, log) }()
	go func() {
		failed <- agent.New(ctx, rt, agent.Options{StateDir: guest.StateDir, Log: log}).Serve(g.Listener)
	}()
	return <-failed
}
