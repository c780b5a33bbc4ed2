// Command echo answers at the TCP and UDP ports that it is given. Over TCP it first says its
// host name and the address that the client has, then it sends back what it gets; over
// UDP each answer is what the greeting says.
package main

import (
	"fmt"
	"io"
	"log"
	"net"
	"os"
)

func main() {
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	for _, port := range os.Args[1:] {
		l, err := net.Listen("tcp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		packets, err := net.ListenPacket("udp", ":"+port)
		if err != nil {
			log.Fatal(err)
		}
		go accept(l, name)
		go answer(packets, name)
	}
	fmt.Println("ready")
	select {}
}

func accept(l net.Listener, name string) {
	for {
		c, err := l.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer c.Close()
			fmt.Fprintln(c, name, host(c.RemoteAddr()))
			_, _ = io.Copy(c, c) // the client may go at any time
		}()
	}
}

func answer(packets net.PacketConn, name string) {
	buf := make([]byte, 1500)
	for {
		_, from, err := packets.ReadFrom(buf)
		if err != nil {
			log.Fatal(err)
		}
		_, _ = packets.WriteTo(fmt.Appendln(nil, name, host(from)), from) // the client tries again
	}
}

func host(a net.Addr) string {
	host, _, _ := net.SplitHostPort(a.String())
	return host
}
