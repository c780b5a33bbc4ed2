package errand

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"sync"
	"time"

	"cis/internal/agent/fileset"
)

// Client sends errands and waits for the answers, for any number of callers at once.
type Client struct {
	requests chan []byte
	// gone is closed when no answer can come any more, after err was set.
	gone chan struct{}
	err  error

	mu      sync.Mutex
	last    int64
	waiting map[int64]chan answer
}

// NewClient writes errands to in and reads answers from out, which are the caller's to close.
func NewClient(in io.Writer, out io.Reader) *Client {
	c := &Client{requests: make(chan []byte), gone: make(chan struct{}), waiting: map[int64]chan answer{}}
	go c.write(in)
	go c.read(out)
	return c
}

// SetHostname gives the sandbox a name.
func (c *Client) SetHostname(ctx context.Context, name string) error {
	_, err := c.do(ctx, request{Hostname: name})
	return err
}

// Publish makes the files all that the directory shows.
func (c *Client) Publish(ctx context.Context, dir string, files []fileset.File) error {
	_, err := c.do(ctx, request{Publish: dir, Files: files})
	return err
}

// Listen returns what the launcher with that pipe has to say, when it has become its program
// or has ended. End ctx where no launcher comes.
func (c *Client) Listen(ctx context.Context, pipe string) (string, error) {
	a, err := c.do(ctx, request{Listen: pipe})
	return a.Text, err
}

// Words are what a program has left in the file, which goes.
func (c *Client) Words(ctx context.Context, file string) (string, error) {
	a, err := c.do(ctx, request{Words: file})
	return a.Text, err
}

// Try tells whether a port can be reached from inside, see reach.Try.
func (c *Client) Try(ctx context.Context, udp bool, to netip.AddrPort, wait time.Duration) (result, detail string, err error) {
	a, err := c.do(ctx, request{Try: &attempt{UDP: udp, To: to, Wait: wait}})
	return a.Text, a.Detail, err
}

func (c *Client) do(ctx context.Context, r request) (answer, error) {
	reply := c.expect(&r)
	defer c.forget(r.ID)
	if err := c.send(ctx, r); err != nil {
		return answer{}, err
	}
	select {
	case a := <-reply:
		if a.Error != "" {
			return answer{}, errors.New(a.Error)
		}
		return a, nil
	case <-c.gone:
		return answer{}, c.err
	case <-ctx.Done():
		if r.Listen != "" {
			go c.send(context.WithoutCancel(ctx), request{Dismiss: r.ID}) // ends with the sandbox at the latest
		}
		return answer{}, context.Cause(ctx)
	}
}

// expect gives the request its number.
func (c *Client) expect(r *request) <-chan answer {
	reply := make(chan answer, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last++
	r.ID = c.last
	c.waiting[r.ID] = reply
	return reply
}

func (c *Client) forget(id int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

func (c *Client) send(ctx context.Context, r request) error {
	line, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("write an errand: %w", err)
	}
	select {
	case c.requests <- append(line, '\n'):
		return nil
	case <-c.gone:
		return c.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// write writes whole lines, one after the other. Where that fails there is nobody to read, which
// the reader of answers sees too.
func (c *Client) write(in io.Writer) {
	for {
		select {
		case line := <-c.requests:
			if _, err := in.Write(line); err != nil {
				return
			}
		case <-c.gone:
			return
		}
	}
}

func (c *Client) read(out io.Reader) {
	err := c.answers(out)
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	c.err = fmt.Errorf("ask cis-pause in the sandbox: %w", err)
	close(c.gone)
}

func (c *Client) answers(out io.Reader) error {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, maxAnswer)
	for lines.Scan() {
		var a answer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			return err
		}
		c.mu.Lock()
		reply := c.waiting[a.ID]
		delete(c.waiting, a.ID)
		c.mu.Unlock()
		if reply != nil {
			reply <- a
		}
	}
	return lines.Err()
}
