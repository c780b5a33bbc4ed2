// Command netprobe measures a TCP path between two places that it runs in. It is a
// static program that the benchmarks put into an image; it prints one number.
//
//	netprobe serve ADDRESS
//	netprobe send|receive ADDRESS DURATION    bytes per second, as the receiver counts them
//	netprobe trips|connects ADDRESS COUNT     median nanoseconds
package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"
)

// The first byte of a connection says what the server shall do with it.
const (
	echo  = 'e' // repeat what comes
	sink  = 's' // count what comes, and tell at its end
	spout = 'p' // send until the other side closes
)

// settle is waited before anything is measured, so that what started this program is done.
const settle = 500 * time.Millisecond

// chunk is what programs that move much data commonly hand over at once.
const chunk = 128 << 10

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "netprobe:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) == 2 && args[0] == "serve" {
		return serve(args[1])
	}
	if len(args) != 3 {
		return fmt.Errorf("want serve ADDRESS, send|receive ADDRESS DURATION, or trips|connects ADDRESS COUNT")
	}
	measure, ok := map[string]func(address, amount string) (int64, error){
		"send": send, "receive": receive, "trips": trips, "connects": connects,
	}[args[0]]
	if !ok {
		return fmt.Errorf("what is %q?", args[0])
	}
	time.Sleep(settle)
	n, err := measure(args[1], args[2])
	if err == nil {
		fmt.Println(n)
	}
	return err
}

func serve(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		go answer(c)
	}
}

// answer serves one connection; the other side tells of errors.
func answer(c net.Conn) {
	defer c.Close()
	buf := make([]byte, chunk)
	if _, err := io.ReadFull(c, buf[:1]); err != nil {
		return
	}
	switch buf[0] {
	case echo:
		for {
			n, err := c.Read(buf)
			if err != nil {
				return
			}
			if _, err := c.Write(buf[:n]); err != nil {
				return
			}
		}
	case sink:
		n, _ := drain(c, buf)
		_ = binary.Write(c, binary.BigEndian, n)
	case spout:
		for {
			if _, err := c.Write(buf); err != nil {
				return
			}
		}
	}
}

// drain reads until the end, and says how much it was.
func drain(c net.Conn, buf []byte) (total int64, err error) {
	for {
		n, err := c.Read(buf)
		total += int64(n)
		if err != nil {
			return total, err
		}
	}
}

func dial(address string, what byte) (*net.TCPConn, error) {
	c, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return nil, err
	}
	_, err = c.Write([]byte{what})
	return c.(*net.TCPConn), err
}

func send(address, amount string) (int64, error) {
	d, err := time.ParseDuration(amount)
	if err != nil {
		return 0, err
	}
	c, err := dial(address, sink)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf, began := make([]byte, chunk), time.Now()
	for time.Since(began) < d {
		if _, err := c.Write(buf); err != nil {
			return 0, err
		}
	}
	if err := c.CloseWrite(); err != nil {
		return 0, err
	}
	// What is still in buffers has not arrived.
	var total int64
	err = binary.Read(c, binary.BigEndian, &total)
	return rate(total, began), err
}

func receive(address, amount string) (int64, error) {
	d, err := time.ParseDuration(amount)
	if err != nil {
		return 0, err
	}
	c, err := dial(address, spout)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	began := time.Now()
	if err := c.SetReadDeadline(began.Add(d)); err != nil {
		return 0, err
	}
	total, err := drain(c, make([]byte, chunk))
	if !os.IsTimeout(err) {
		return 0, fmt.Errorf("the other side ended: %w", err)
	}
	return rate(total, began), nil
}

func rate(bytes int64, began time.Time) int64 {
	return int64(float64(bytes) / time.Since(began).Seconds())
}

// trips times one byte there and back, over one connection.
func trips(address, amount string) (int64, error) {
	c, err := dial(address, echo)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	buf := make([]byte, 1)
	return median(amount, func() error {
		if _, err := c.Write(buf); err != nil {
			return err
		}
		_, err := io.ReadFull(c, buf)
		return err
	})
}

// connects times the opening of connections, until the first byte is back.
func connects(address, amount string) (int64, error) {
	return median(amount, func() error {
		c, err := dial(address, echo)
		if err != nil {
			return err
		}
		defer c.Close()
		buf := []byte{0}
		if _, err := c.Write(buf); err != nil {
			return err
		}
		_, err = io.ReadFull(c, buf)
		return err
	})
}

func median(amount string, once func() error) (int64, error) {
	count, err := strconv.Atoi(amount)
	if err != nil || count < 1 {
		return 0, fmt.Errorf("a count of %q", amount)
	}
	took := make([]int64, count)
	for i := range took {
		began := time.Now()
		if err := once(); err != nil {
			return 0, err
		}
		took[i] = time.Since(began).Nanoseconds()
	}
	slices.Sort(took)
	return took[count/2], nil
}
