package agent

import (
	"context"
	"os"
	"sync"
	"time"
)

// input is the way to a program's standard input, which several clients may write.
type input struct {
	file *os.File
	turn chan struct{} // holds one token: who has it may write
	tty  bool
	once sync.Once
}

func newInput(file *os.File, tty bool) *input {
	if file == nil {
		return nil
	}
	i := &input{file: file, turn: make(chan struct{}, 1), tty: tty}
	i.turn <- struct{}{}
	return i
}

// write gives data to the program, and waits while it does not read. What a program
// that has closed its input does not take is dropped. The error is ctx's.
func (i *input) write(ctx context.Context, data []byte) error {
	if i == nil {
		return nil
	}
	select {
	case <-i.turn:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { i.turn <- struct{}{} }()
	stopped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		i.file.SetWriteDeadline(time.Unix(1, 0))
		close(stopped)
	})
	i.file.Write(data)
	if !stop() {
		<-stopped
		i.file.SetWriteDeadline(time.Time{})
	}
	return ctx.Err()
}

// close ends the program's input. A terminal has no end of input: it stays.
func (i *input) close() {
	if i != nil && !i.tty {
		i.once.Do(func() { i.file.Close() })
	}
}
