package e2e

import (
	"io"
	"net"
	"time"
)

var bandwidthTests = tests{
	"a limit holds in its direction": func(e *env) {
		const limit = "8M"
		amount := make([]byte, 2<<20)
		took := func(flags ...string) time.Duration {
			_, address := e.echo(flags...)
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
		free, in, out := took(), took("--bandwidth-in", limit), took("--bandwidth-out", limit)
		e.Logf("without a limit %v, in %v, out %v", free, in, out)
		// 2 MiB take 2.1 s, less what a burst lets through.
		for _, limited := range []time.Duration{in, out} {
			if limited < 1500*time.Millisecond || limited > 20*time.Second {
				e.Errorf("2 MiB at %sbit/s took %v", limit, limited)
			}
		}
		if free > in || free > out {
			e.Errorf("without a limit it took %v, with one %v and %v", free, in, out)
		}
	},
}
