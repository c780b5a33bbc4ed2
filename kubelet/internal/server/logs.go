package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis/api"
)

func (s *Server) logs(w http.ResponseWriter, r *http.Request) {
	in, ok := s.find(w, r)
	if !ok {
		return
	}
	opts, err := logOptions(r.URL.Query(), time.Now())
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	opts.Container = r.PathValue("container")
	out := &logWriter{w: w, logOptionsRead: opts}
	err = s.Cis.Logs(r.Context(), in.ID, opts.LogOptions, out.write)
	switch {
	case err == nil, errors.Is(err, errEnough), r.Context().Err() != nil:
		out.begin()
	case out.begun:
		s.Log.Warn("logs broke off", "instance", in.ID, "error", err)
	default:
		http.Error(w, err.Error(), statusOf(err))
	}
}

// logOptionsRead are those of cis, and what is done here.
type logOptionsRead struct {
	api.LogOptions
	// limit of bytes; negative: none.
	limit int64
	// stream is 1 or 2 to have only that one; 0: both.
	stream int
}

func logOptions(q url.Values, now time.Time) (o logOptionsRead, err error) {
	o.Tail, o.limit = -1, -1
	for _, flag := range []struct {
		name string
		on   *bool
	}{{"follow", &o.Follow}, {"previous", &o.Previous}, {"timestamps", &o.Timestamps}} {
		if text := q.Get(flag.name); text != "" {
			if *flag.on, err = strconv.ParseBool(text); err != nil {
				return o, fmt.Errorf("%s must be true or false", flag.name)
			}
		}
	}
	number := func(name string, set func(int64)) {
		if text := q.Get(name); text != "" && err == nil {
			n, bad := strconv.ParseInt(text, 10, 64)
			if bad != nil || n < 0 {
				err = fmt.Errorf("%s must be a whole number from 0", name)
				return
			}
			set(n)
		}
	}
	number("tailLines", func(n int64) { o.Tail = int(min(n, 1<<31-1)) })
	number("limitBytes", func(n int64) { o.limit = n })
	number("sinceSeconds", func(n int64) { o.Since = now.Add(-time.Duration(n) * time.Second) })
	if text := q.Get("sinceTime"); text != "" && err == nil {
		if o.Since, err = time.Parse(time.RFC3339, text); err != nil {
			err = errors.New("sinceTime must be an RFC 3339 time")
		}
	}
	switch stream := q.Get("stream"); stream {
	case "", corev1.LogStreamAll:
	case corev1.LogStreamStdout:
		o.stream = int(api.LogStdout)
	case corev1.LogStreamStderr:
		o.stream = int(api.LogStderr)
	default:
		err = fmt.Errorf("invalid stream type %q", stream)
	}
	return o, err
}

// logWriter sends entries as plain text.
type logWriter struct {
	w http.ResponseWriter
	logOptionsRead
	begun bool
	sent  int64
	// inside tells for each stream whether its last piece ended within a line.
	inside [3]bool
}

func (l *logWriter) begin() {
	if !l.begun {
		l.begun = true
		l.w.Header().Set("Content-Type", "text/plain")
		l.w.WriteHeader(http.StatusOK)
	}
}

func (l *logWriter) write(e api.LogEntry) error {
	if l.stream != 0 && e.Stream != l.stream {
		return nil
	}
	l.begin()
	if err := l.send(l.stamp(e)); err != nil {
		return err
	}
	if err := l.send(e.Data); err != nil {
		return err
	}
	if l.Follow {
		return http.NewResponseController(l.w).Flush()
	}
	return nil
}

// stamp is the time before a line's first piece. Entries with times are of one line.
func (l *logWriter) stamp(e api.LogEntry) []byte {
	if !l.Timestamps || len(e.Data) == 0 {
		return nil
	}
	inside := &l.inside[min(max(e.Stream, 0), 2)]
	first := !*inside
	*inside = e.Data[len(e.Data)-1] != '\n'
	if !first {
		return nil
	}
	return append(e.Time.UTC().AppendFormat(nil, time.RFC3339Nano), ' ')
}

func (l *logWriter) send(data []byte) error {
	if l.limit >= 0 && l.sent+int64(len(data)) > l.limit {
		data = data[:l.limit-l.sent]
	}
	n, err := l.w.Write(data)
	l.sent += int64(n)
	if err == nil && l.limit >= 0 && l.sent >= l.limit {
		return errEnough
	}
	return err
}
