package server

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"net/http"
	"time"

	"cis/api"
)

func (s *Server) instanceLogs(w http.ResponseWriter, r *request) error {
	opts := api.LogOptions{
		Container:  arg[string](r.query, "container"),
		Follow:     arg[bool](r.query, "follow"),
		Previous:   arg[bool](r.query, "previous"),
		Timestamps: arg[bool](r.query, "timestamps"),
		Tail:       -1,
		Since:      arg[time.Time](r.query, "since"),
	}
	if tail, ok := r.query["tail"].(int); ok {
		opts.Tail = tail
	}
	out := &logWriter{
		w: w, out: bufio.NewWriterSize(w, 32<<10), timestamps: opts.Timestamps, follow: opts.Follow,
		frames: arg[string](r.query, "format") == "frames",
	}
	err := s.Engine.Logs(r.Context(), r.ref(), opts, out.write)
	return out.end(s, r, err)
}

// logWriter sends the output of a container, as text or in frames.
type logWriter struct {
	w                          http.ResponseWriter
	out                        *bufio.Writer
	frames, timestamps, follow bool
	begun                      bool
	// midLine tells for each stream whether its last piece ended inside a line.
	midLine [3]bool
	scratch []byte
}

func (l *logWriter) begin() {
	if l.begun {
		return
	}
	l.begun = true
	l.w.Header().Set("Content-Type", typeText)
	if l.frames {
		l.w.Header().Set("Content-Type", typeFrames)
	}
	l.w.Header().Set("X-Content-Type-Options", "nosniff")
	l.w.WriteHeader(http.StatusOK)
}

func (l *logWriter) write(e LogEntry) error {
	l.begin()
	data := e.Data
	if l.timestamps {
		data = l.stamped(e)
	}
	if err := l.piece(api.LogStream(e.Stream), data); err != nil || !l.follow {
		return err
	}
	return l.flush()
}

// stamped puts the time before each line that begins in the piece.
func (l *logWriter) stamped(e LogEntry) []byte {
	stamp := e.Time.UTC().Format("2006-01-02T15:04:05.000000000Z07:00") + " "
	mid := &l.midLine[min(max(e.Stream, 0), 2)]
	l.scratch = l.scratch[:0]
	for line := range bytes.Lines(e.Data) {
		if !*mid {
			l.scratch = append(l.scratch, stamp...)
		}
		l.scratch = append(l.scratch, line...)
		*mid = line[len(line)-1] != '\n'
	}
	return l.scratch
}

func (l *logWriter) piece(stream api.LogStream, data []byte) error {
	if l.frames {
		header := [8]byte{0: byte(stream)}
		binary.BigEndian.PutUint32(header[4:], uint32(len(data)))
		if _, err := l.out.Write(header[:]); err != nil {
			return err
		}
	}
	_, err := l.out.Write(data)
	return err
}

func (l *logWriter) flush() error {
	if err := l.out.Flush(); err != nil {
		return err
	}
	return http.NewResponseController(l.w).Flush()
}

// end sends what is left. Text has no place for an error, so it is broken off;
// frames have one of their own for it.
func (l *logWriter) end(s *Server, r *request, err error) error {
	if err == nil {
		l.begin()
		_ = l.flush()
		return nil
	}
	if !l.begun {
		return err
	}
	if l.frames {
		data, _ := json.Marshal(s.logged(r.Context(), err))
		_ = l.piece(api.LogError, data)
		_ = l.flush()
		return nil
	}
	_ = l.flush()
	return err
}
