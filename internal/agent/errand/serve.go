package errand

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"

	"golang.org/x/sys/unix"

	"cis/internal/agent/fileset"
	"cis/internal/agent/lastwords"
	"cis/internal/agent/launch"
	"cis/internal/agent/reach"
)

// Serve does the errands that come in until there are no more to come.
func Serve(in io.Reader, out io.Writer) error {
	s := server{out: json.NewEncoder(out), listening: map[int64]*os.File{}}
	for requests := json.NewDecoder(in); ; {
		var r request
		if err := requests.Decode(&r); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("read an errand: %w", err)
		}
		s.serve(r)
	}
}

type server struct {
	mu  sync.Mutex
	out *json.Encoder
	// listening has for each launch that is listened to what ends that by being closed.
	listening map[int64]*os.File
}

// serve does at once what is quickly done, so that errands keep their order.
func (s *server) serve(r request) {
	switch {
	case r.Dismiss != 0:
		s.dismiss(r.Dismiss)
	case r.Listen != "":
		s.listen(r)
	case r.Try != nil:
		go s.try(r)
	default:
		text, err := r.do()
		s.answer(answer{ID: r.ID, Text: text}, err)
	}
}

func (r request) do() (string, error) {
	switch {
	case r.Publish != "":
		return "", fileset.Publish(r.Publish, r.Files)
	case r.Words != "":
		defer os.Remove(r.Words)
		return lastwords.Read(r.Words)
	}
	return "", unix.Sethostname([]byte(r.Hostname))
}

// answer has nobody to tell where writing fails: the agent is gone then.
func (s *server) answer(a answer, err error) {
	if err != nil {
		a.Error = err.Error()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	_ = s.out.Encode(a)
}

func (s *server) try(r request) {
	result, detail, err := reach.Try(r.Try.UDP, r.Try.To, r.Try.Wait)
	s.answer(answer{ID: r.ID, Text: string(result), Detail: detail}, err)
}

func (s *server) listen(r request) {
	dismissed, dismiss, err := os.Pipe()
	if err != nil {
		s.answer(answer{ID: r.ID}, err)
		return
	}
	s.mu.Lock()
	s.listening[r.ID] = dismiss
	s.mu.Unlock()
	go func() {
		words, err := launch.Listen(r.Listen, dismissed)
		s.dismiss(r.ID)
		dismissed.Close()
		s.answer(answer{ID: r.ID, Text: words}, err)
	}()
}

func (s *server) dismiss(id int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if end := s.listening[id]; end != nil {
		end.Close()
		delete(s.listening, id)
	}
}
