package main

import (
	"context"
	"log/slog"

	"cis/internal/agent"
	"cis/internal/agent/crun"
	"cis/internal/agent/guest"
)

// runGuest is the first process of a microVM. It never returns but with an error: a
// kernel without its first process panics, which ends the VM.
func runGuest(ctx context.Context, log *slog.Logger) error {
	g, err := guest.Boot(ctx)
	if err != nil {
		return err
	}
	rt, err := crun.New(crun.Config{
		Crun: guest.Crun, Tool: guest.Tool, Dir: "/run/cis", Image: g.Image, Layers: g.Layers, Volume: g.Volume,
	})
	if err != nil {
		return err
	}
	return agent.New(ctx, rt, agent.Options{StateDir: guest.StateDir, Log: log}).Serve(g.Listener)
}
