// Command pushbusybox makes the small image of a static busybox and pushes it.
package main

import (
	"context"
	"fmt"
	"os"

	"cis/internal/busybox"
)

func main() {
	if len(os.Args) != 3 {
		fmt.Fprintln(os.Stderr, "Usage: pushbusybox BUSYBOX REFERENCE")
		os.Exit(2)
	}
	if err := push(context.Background(), os.Args[1], os.Args[2]); err != nil {
		fmt.Fprintln(os.Stderr, "pushbusybox:", err)
		os.Exit(1)
	}
}

func push(ctx context.Context, program, ref string) error {
	img, err := busybox.Image(program, busybox.Options{})
	if err != nil {
		return err
	}
	return busybox.Push(ctx, ref, img)
}
