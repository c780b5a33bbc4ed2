package e2e

import (
	"io"
	"net"
	"time"
)

var bandwidthTests = tests{
	"a limit holds in its direction": func(e *env) {
		amount := make([]byte, 2<<20)
		took := func(address string) time.Duration {
			c, err := net.Dial("tcp", net.JoinHostPort(address, port1))
			if err != nil {
				e.Fatal(err)
			}
			defer c.Close()
			began := time.Now()
			go func() {
				_, _ = c.Write(amount) // what is lost does not come back
				_ = c.(*net.TCPConn).CloseWrite()
			}()
			if n, err := io.Copy(io.Discard, c); err != nil || n < int64(len(amount)) {
				e.Fatalf("%d bytes came back: %v", n, err)
			}
			return time.Since(began)
		}
		slow, fast := took(e.shop.clientAddress), took(e.shop.serverAddress)
		e.Logf("in at 8 Mbit/s %v, out at 16 Mbit/s %v", slow, fast)
		// 2 MiB take 2.1 s and 1.05 s, less what a burst lets through. Without the limits it
		// is a fraction of that.
		if slow < 1500*time.Millisecond || slow > 30*time.Second {
			e.Errorf("2 MiB in at 8 Mbit/s took %v", slow)
		}
		if fast < 700*time.Millisecond || fast > 30*time.Second {
			e.Errorf("2 MiB out at 16 Mbit/s took %v", fast)
		}
	},
}
