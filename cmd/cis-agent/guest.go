package main

import (
	"context"
	"log/slog"
	"runtime"
	"runtime/debug"

	"cis/internal/agent"
	"cis/internal/agent/agentpb"
	"cis/internal/agent/guest"
	"cis/internal/agent/linux"
)

// runGuest is the first process of a microVM. It never returns but with an error: a
// kernel without its first process panics, which ends the VM.
func runGuest(ctx context.Context, log *slog.Logger) error {
	// A container's start makes less garbage than this lets be.
	debug.SetGCPercent(100)
	g, err := guest.Boot(ctx)
	if err != nil {
		return err
	}
	rt, err := linux.New(linux.Config{
		Tool: guest.Tool, Dir: "/run/cis", Cgroup: "/cis", Disk: g.Image, Layer: g.Layer, Volume: g.Volume, Share: g.Share,
	})
	if err != nil {
		return err
	}
	g.Rehearse = func(ctx context.Context) error {
		c := agentpb.Container{Name: guest.Rehearsal, Rootfs: guest.Rehearsal, Args: []string{"/" + guest.Rehearsal}, Cwd: "/"}
		defer runtime.GC() // the next one is then after a real start, and not in it
		return agent.Rehearse(ctx, rt, c, guest.StateDir)
	}
	g.MakeAhead = rt.MakeAhead
	go rt.Reap(ctx)
	go guest.KeepTime(ctx, log)
	failed := make(chan error, 2)
	go func() { failed <- g.Serve(ctx, log) }()
	go func() {
		failed <- agent.New(ctx, rt, agent.Options{StateDir: guest.StateDir, Log: log}).Serve(g.Listener)
	}()
	return <-failed
}
