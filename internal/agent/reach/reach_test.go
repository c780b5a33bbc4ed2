package reach

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"cis/api"
)

const wait = 5 * time.Second

func TestTry(t *testing.T) {
	for _, host := range []string{"127.0.0.1", "::1"} {
		tcp, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		udp, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			buf := make([]byte, 64)
			n, from, err := udp.ReadFrom(buf)
			if err == nil {
				udp.WriteTo(buf[:n], from)
			}
		}()
		at := func(a net.Addr) netip.AddrPort { return netip.MustParseAddrPort(a.String()) }
		want := func(isUDP bool, to netip.AddrPort, wait time.Duration, result Result) {
			t.Helper()
			if got, detail, err := Try(isUDP, to, wait); got != result || err != nil {
				t.Errorf("%s (udp %t): %q %q, %v; want %q", to, isUDP, got, detail, err, result)
			}
		}
		want(false, at(tcp.Addr()), wait, Connected)
		want(true, at(udp.LocalAddr()), wait, Answered)
		want(true, at(udp.LocalAddr()), 50*time.Millisecond, NoAnswer)
		tcp.Close()
		udp.Close()
		want(false, at(tcp.Addr()), wait, Refused)
		want(true, at(udp.LocalAddr()), wait, Refused)
	}
}

// The words travel as text, and are read as package api's.
func TestWords(t *testing.T) {
	for ours, theirs := range map[Result]api.TryResult{Connected: api.TryConnected, Answered: api.TryAnswered,
		Refused: api.TryRefused, NoAnswer: api.TryNoAnswer, Unreachable: api.TryUnreachable} {
		if string(ours) != string(theirs) {
			t.Errorf("%q is not %q", ours, theirs)
		}
	}
}
