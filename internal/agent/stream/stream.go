// Package stream carries the frames of one streaming call between the engine and
// an agent: with flow control, so that a slow reader holds up its own call and
// nothing else, and with cancellation, so that a call whose caller is gone ends on
// both sides. ttrpc has neither.
//
// It knows nothing of what the calls do. In flight are at most Window frames each
// way; the data of one should stay under 128 KiB.
package stream

import (
	"context"
	"encoding/json"
	"io"
	"sync"

	"cis/api"
	"cis/internal/agent/agentpb"
)

// Window is how many frames one side may send ahead of the other. It stays well
// under the 64 messages that ttrpc buffers before it breaks a stream.
const Window = 16

// giveBack is how many frames are consumed before they are given back as credit.
const giveBack = Window / 4

// conn is either side's end of a ttrpc stream.
type conn interface {
	SendMsg(m any) error
	RecvMsg(m any) error
}

// Stream is one side of a call. Send may be used by several goroutines, Recv by one.
type Stream struct {
	conn conn
	// over ends when the call does: by the other side, or a broken connection.
	over context.Context
	end  context.CancelCauseFunc

	credit chan struct{}
	// recv holds what came and was not consumed, and is closed after the last.
	recv     chan *agentpb.Frame
	consumed uint32

	sending sync.Mutex
	ended   bool // nothing more is sent
}

func newStream(ctx context.Context, c conn) *Stream {
	s := &Stream{
		conn:   c,
		credit: make(chan struct{}, 2*Window),
		recv:   make(chan *agentpb.Frame, Window+1),
	}
	s.over, s.end = context.WithCancelCause(ctx)
	s.addCredit(Window)
	go s.receive()
	return s
}

// Send sends a frame, when the other side has room for it. It fails with io.EOF
// once the call is over.
func (s *Stream) Send(f *agentpb.Frame) error {
	select {
	case <-s.credit:
	case <-s.over.Done():
	}
	if s.over.Err() != nil {
		return io.EOF
	}
	return s.put(f)
}

// put sends a frame without credit.
func (s *Stream) put(f *agentpb.Frame) error {
	s.sending.Lock()
	defer s.sending.Unlock()
	if s.ended {
		return io.EOF
	}
	s.ended = f.End
	return agentpb.FromStatus(s.conn.SendMsg(f))
}

// Recv returns the next frame, and io.EOF after the last.
func (s *Stream) Recv() (*agentpb.Frame, error) {
	f, ok := <-s.recv
	if !ok {
		return nil, io.EOF
	}
	return f, s.took(f)
}

// took gives credit back for a frame that was consumed.
func (s *Stream) took(f *agentpb.Frame) error {
	if s.consumed++; s.consumed < giveBack || f.End {
		return nil
	}
	s.consumed = 0
	if err := s.put(&agentpb.Frame{Credit: giveBack}); err != io.EOF && s.over.Err() == nil {
		return err
	}
	return nil // the call is over, and what came before its end is read on
}

// receive takes what comes until the connection or the other side ends it.
func (s *Stream) receive() {
	defer close(s.recv)
	for {
		f := new(agentpb.Frame)
		if err := s.conn.RecvMsg(f); err != nil {
			s.end(err)
			return
		}
		switch {
		case f.Credit > 0:
			s.addCredit(f.Credit)
			continue
		case f.End:
			s.end(io.EOF)
		}
		select {
		case s.recv <- f:
		default: // more than its credit: not a side to talk to
			s.end(api.Errorf(api.Internal, "the stream's other side sends without credit"))
		}
	}
}

func (s *Stream) addCredit(n uint32) {
	for range n {
		select {
		case s.credit <- struct{}{}:
		default:
			return
		}
	}
}

// Request decodes the first frame's request.
func (s *Stream) Request(v any) error {
	f, err := s.Recv()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(f.Request, v); err != nil {
		return api.Errorf(api.Invalid, "the call's request cannot be read: %w", err)
	}
	return nil
}
