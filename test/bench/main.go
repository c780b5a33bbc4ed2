// Command bench measures cis beside podman with the same runsc, on the same image
// and in the same run, alternating, and prints one table. It drives the built
// programs as a user would; nothing it makes is left on the host.
//
// Figures from a small or busy machine vary: medians and ratios say most.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

// bench is one run of the benchmarks.
type bench struct {
	bin string
	// runs of each kind, at one time, creates in a row, idle instances, pods at one time.
	runs, burst, creates, idle, pods int
	// data is the size of the big image in MiB.
	data int

	table table
}

// parts in the order in which they run.
var parts = []struct {
	name string
	run  func(*bench, context.Context) error
}{
	{"cli", (*bench).commandLine},
	{"warm", (*bench).warm},
	{"cold", (*bench).cold},
	{"burst", (*bench).atOnce},
	{"memory", (*bench).memory},
	{"pull", (*bench).pull},
	{"creates", (*bench).inARow},
	{"vm-warm", (*bench).vmWarm},
	{"vm-copy", (*bench).vmCopy},
	{"vm-burst", (*bench).vmBurst},
	{"vm-boot", (*bench).vmBoot},
	{"vm-memory", (*bench).vmMemory},
	{"net-tcp", (*bench).netTCP},
	{"net-latency", (*bench).netLatency},
	{"net-vm-tcp", (*bench).netVMTCP},
	{"net-vm-latency", (*bench).netVMLatency},
	{"net-rules", (*bench).netRules},
	{"net-nic", (*bench).netNIC},
	{"cloud-create", (*bench).cloudCreate},
	{"cloud-describe", (*bench).cloudDescribe},
	{"kube-create", (*bench).kubeCreate},
	{"kube-burst", (*bench).kubeBurst},
	{"kube-memory", (*bench).kubeMemory},
}

func main() {
	b := &bench{}
	var only string
	flag.StringVar(&b.bin, "bin", "bin", "directory of the programs")
	flag.IntVar(&b.runs, "runs", 30, "runs of each kind")
	flag.IntVar(&b.burst, "burst", 50, "instances asked for at once")
	flag.IntVar(&b.creates, "creates", 500, "creates in a row")
	flag.IntVar(&b.idle, "idle", 20, "idle instances whose memory is measured")
	flag.IntVar(&b.pods, "pods", 200, "Kubernetes pods asked for at once")
	flag.IntVar(&b.data, "data", 256, "MiB in the image that is pulled")
	flag.StringVar(&only, "only", "", "parts to run, with commas between: cli,warm,cold,burst,memory,pull,creates,vm-warm,vm-copy,vm-burst,vm-boot,vm-memory,net-tcp,net-latency,net-vm-tcp,net-vm-latency,net-rules,net-nic,cloud-create,cloud-describe,kube-create,kube-burst,kube-memory")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := b.run(ctx, only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func (b *bench) run(ctx context.Context, only string) error {
	if b.runs < 1 {
		return fmt.Errorf("-runs is %d: want 1 or more", b.runs)
	}
	wanted := strings.Split(only, ",")
	var err error
	if b.bin, err = filepath.Abs(b.bin); err != nil {
		return err
	}
	for _, p := range parts {
		if only != "" && !slices.Contains(wanted, p.name) {
			continue
		}
		began := time.Now()
		fmt.Fprintf(os.Stderr, "%-14s … ", p.name)
		if partErr := p.run(b, ctx); partErr != nil {
			fmt.Fprintln(os.Stderr, "failed")
			err = errors.Join(err, fmt.Errorf("%s: %w", p.name, partErr))
			continue
		}
		fmt.Fprintf(os.Stderr, "%.0f s\n", time.Since(began).Seconds())
	}
	b.table.write(os.Stdout)
	return err
}
