package agent

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"cis/api"
)

// A health check is one call without streams, so HTTP/2 of the standard library is all
// it takes: the agent stays small. The wire format is in grpc's PROTOCOL-HTTP2.md, the
// messages in grpc.health.v1's health.proto.

// serving is HealthCheckResponse.SERVING.
const serving = 1

// healthWords are the names of the states, by their numbers.
var healthWords = []string{"UNKNOWN", "SERVING", "NOT_SERVING", "SERVICE_UNKNOWN"}

// The codes of grpc that tell something of health checks (google/rpc/code.proto).
const (
	grpcOK            = 0
	grpcNotFound      = 5
	grpcUnimplemented = 12
)

// newGRPCTransport speaks HTTP/2 from the first byte on, without TLS; like
// newHTTPClient it keeps no connection and knows no proxy.
func newGRPCTransport() *http.Transport {
	t := &http.Transport{
		DisableKeepAlives: true, DisableCompression: true,
		MaxResponseHeaderBytes: 64 << 10, Protocols: new(http.Protocols),
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// health asks a health server once.
func (k *asker) health(ctx context.Context, g *api.GRPCAction) error {
	state, err := k.check(ctx, g)
	if err != nil {
		return err
	}
	if state == serving {
		return nil
	}
	word := strconv.FormatUint(state, 10)
	if state < uint64(len(healthWords)) {
		word = healthWords[state]
	}
	return fmt.Errorf("service unhealthy (responded with %q)", word)
}

// check calls grpc.health.v1.Health/Check.
func (k *asker) check(ctx context.Context, g *api.GRPCAction) (state uint64, err error) {
	u := url.URL{Scheme: "http", Host: net.JoinHostPort(k.host, strconv.Itoa(g.Port)), Path: "/grpc.health.v1.Health/Check"}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, u.String(), bytes.NewReader(healthRequest(g.Service)))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/grpc")
	req.Header.Set("TE", "trailers")
	req.Header.Set("User-Agent", "cis-probe")
	resp, err := k.grpc.RoundTrip(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return 0, fmt.Errorf("read the answer: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return 0, fmt.Errorf("health rpc failed: HTTP status %d", resp.StatusCode)
	}
	if err := callError(resp); err != nil {
		return 0, err
	}
	return healthState(body)
}

// callError reads how the call ended: from the trailer, or from the header of an
// answer without a body.
func callError(resp *http.Response) error {
	status, message := resp.Trailer.Get("Grpc-Status"), resp.Trailer.Get("Grpc-Message")
	if status == "" {
		status, message = resp.Header.Get("Grpc-Status"), resp.Header.Get("Grpc-Message")
	}
	code, err := strconv.Atoi(status)
	switch {
	case err != nil:
		return errors.New("health rpc failed: the answer is none of gRPC")
	case code == grpcOK:
		return nil
	case code == grpcUnimplemented:
		return errors.New("this server does not implement the grpc health protocol (grpc.health.v1.Health)")
	case code == grpcNotFound:
		return fmt.Errorf("the server does not know the service: %s", message)
	}
	return fmt.Errorf("health rpc failed: code %d: %s", code, message)
}

// healthRequest is a HealthCheckRequest in a frame of gRPC.
func healthRequest(service string) []byte {
	var message []byte
	if service != "" {
		message = protowire.AppendTag(message, 1, protowire.BytesType)
		message = protowire.AppendString(message, service)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0}, uint32(len(message)))
	return append(frame, message...)
}

// healthState reads the frame of a HealthCheckResponse; a state that is left out is
// the first one.
func healthState(frame []byte) (state uint64, err error) {
	malformed := errors.New("health rpc failed: the answer is no HealthCheckResponse")
	if len(frame) < 5 || frame[0] != 0 || uint64(binary.BigEndian.Uint32(frame[1:])) != uint64(len(frame)-5) {
		return 0, malformed
	}
	for rest := frame[5:]; len(rest) > 0; {
		number, kind, n := protowire.ConsumeTag(rest)
		if n < 0 {
			return 0, malformed
		}
		size := protowire.ConsumeFieldValue(number, kind, rest[n:])
		if size < 0 {
			return 0, malformed
		}
		if number == 1 && kind == protowire.VarintType {
			state, _ = protowire.ConsumeVarint(rest[n:])
		}
		rest = rest[n+size:]
	}
	return state, nil
}
