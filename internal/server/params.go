package server

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"cis/api"
)

// Param is one query parameter of a route: how it is read and how it is documented.
type Param struct {
	Name, Doc string
	// Type is its JSON schema type: string, integer or boolean.
	Type string
	// Repeated parameters may be given several times.
	Repeated bool
	Required bool
	// Values it may have, if these can be listed.
	Values []string

	parse func(text string) (any, error)
}

// values of the parameters that were given, by name; repeated ones are []any.
type values map[string]any

// parseQuery reads a query by the parameters of its route, and refuses others.
func parseQuery(raw string, params []Param) (values, error) {
	query, err := url.ParseQuery(raw)
	if err != nil {
		return nil, api.Errorf(api.Invalid, "the query cannot be read: %v", err)
	}
	given := values{}
	for name, texts := range query {
		i := slices.IndexFunc(params, func(p Param) bool { return p.Name == name })
		if i < 0 {
			return nil, unknownParam(name, params)
		}
		if given[name], err = params[i].read(texts); err != nil {
			return nil, err
		}
	}
	for _, p := range params {
		if _, ok := given[p.Name]; p.Required && !ok {
			return nil, api.FieldError(p.Name, "is required: %s", p.Doc)
		}
	}
	return given, nil
}

func unknownParam(name string, params []Param) error {
	known := make([]string, len(params))
	for i, p := range params {
		known[i] = p.Name
	}
	name = name[:min(len(name), 64)]
	err := api.FieldError(name, "there is no query parameter %q here", name)
	if near := api.Nearest(name, known); near != "" {
		return err.WithNext("did you mean %q?", near)
	}
	if len(known) == 0 {
		return err.WithNext("this operation has none")
	}
	return err.WithNext("known here: %s", strings.Join(known, ", "))
}

func (p *Param) read(texts []string) (any, error) {
	if len(texts) > 1 && !p.Repeated {
		return nil, api.FieldError(p.Name, "is given twice")
	}
	all := make([]any, len(texts))
	for i, text := range texts {
		v, err := p.parse(text)
		if err != nil {
			return nil, api.FieldError(p.Name, "%s", err.Error())
		}
		all[i] = v
	}
	if p.Repeated {
		return all, nil
	}
	return all[0], nil
}

// arg is the value of a parameter, or the zero value when it was not given.
func arg[T any](v values, name string) T {
	value, _ := v[name].(T)
	return value
}

// args are the values of a repeated parameter.
func args[T any](v values, name string) []T {
	given := arg[[]any](v, name)
	list := make([]T, len(given))
	for i, value := range given {
		list[i] = value.(T)
	}
	return list
}

// repeated lets a parameter be given several times, required makes it a must.
func (p Param) repeated() Param { p.Repeated = true; return p }
func (p Param) required() Param { p.Required = true; return p }

// stringParam is any text without NUL, which could not reach a program.
func stringParam(name, doc string) Param {
	return Param{Name: name, Doc: doc, Type: "string", parse: func(s string) (any, error) {
		if strings.ContainsRune(s, 0) {
			return nil, errors.New("must not contain a NUL character")
		}
		return s, nil
	}}
}

func choiceParam(name, doc string, choices ...string) Param {
	return Param{Name: name, Doc: doc, Type: "string", Values: choices, parse: func(s string) (any, error) {
		if !slices.Contains(choices, s) {
			return nil, fmt.Errorf("must be one of %s", strings.Join(choices, ", "))
		}
		return s, nil
	}}
}

func boolParam(name, doc string) Param {
	return Param{Name: name, Doc: doc, Type: "boolean", parse: func(s string) (any, error) {
		switch s {
		case "true", "1", "":
			return true, nil
		case "false", "0":
			return false, nil
		}
		return nil, errors.New("must be true or false")
	}}
}

func intParam(name, doc string, low, high int64) Param {
	return Param{Name: name, Doc: doc, Type: "integer", parse: func(s string) (any, error) {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < low || n > high {
			return nil, fmt.Errorf("must be a whole number from %d to %d", low, high)
		}
		return n, nil
	}}
}

// graceParam is a span of time, up to an hour.
func graceParam(doc string) Param {
	return Param{Name: "grace", Doc: doc, Type: "string", parse: func(s string) (any, error) {
		d, err := parseSpan(s)
		if err != nil || d < 0 || d > time.Hour {
			return nil, errors.New("must be seconds such as 10, or a duration such as 500ms or 2m, from 0 to 1h")
		}
		return d, nil
	}}
}

// parseSpan reads plain seconds or a Go duration.
func parseSpan(s string) (time.Duration, error) {
	if n, err := strconv.ParseUint(s, 10, 32); err == nil {
		return time.Duration(n) * time.Second, nil
	}
	return time.ParseDuration(s)
}

// grace is the parameter of that name, or nil.
func grace(v values) *time.Duration {
	if d, ok := v["grace"].(time.Duration); ok {
		return &d
	}
	return nil
}

// sinceParam is a moment, or how long ago it was.
func sinceParam() Param {
	return Param{Name: "since", Doc: "only output from then on: an RFC 3339 time, or a duration such as 10m for how long ago",
		Type: "string", parse: func(s string) (any, error) {
			if t, err := time.Parse(time.RFC3339Nano, s); err == nil {
				return t, nil
			}
			d, err := parseSpan(s)
			if err != nil || d < 0 {
				return nil, errors.New("must be an RFC 3339 time such as 2030-01-02T15:04:05Z, or a duration such as 10m")
			}
			return time.Now().Add(-d), nil
		}}
}

// momentParam is a moment, a day's beginning, or how long ago it was.
func momentParam(name, doc string) Param {
	return Param{Name: name, Doc: doc + ": an RFC 3339 time, a date (in UTC), or a duration such as 24h for how long ago",
		Type: "string", parse: func(s string) (any, error) {
			for _, layout := range []string{time.RFC3339Nano, time.DateOnly} {
				if t, err := time.Parse(layout, s); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
					return t, nil
				}
			}
			d, err := parseSpan(s)
			if err != nil || d < 0 {
				return nil, errors.New("must be an RFC 3339 time such as 2030-01-02T15:04:05Z, a date such as 2030-01-02, or a duration such as 24h")
			}
			return time.Now().Add(-d), nil
		}}
}

// cpuParam and bytesParam are amounts.
func cpuParam(name, doc string) Param {
	return Param{Name: name, Doc: doc, Type: "string", parse: func(s string) (any, error) { return api.ParseCPU(s) }}
}

func bytesParam(name, doc string) Param {
	return Param{Name: name, Doc: doc, Type: "string", parse: func(s string) (any, error) { return api.ParseBytes(s) }}
}

func tailParam() Param {
	return Param{Name: "tail", Doc: "only that many last lines; all by default", Type: "string", parse: func(s string) (any, error) {
		if s == "all" {
			return -1, nil
		}
		n, err := strconv.ParseUint(s, 10, 31)
		if err != nil {
			return nil, errors.New("must be a number of lines from 0, or all")
		}
		return int(n), nil
	}}
}

func signalParam() Param {
	return Param{Name: "signal", Doc: "name or number of the signal, such as TERM, SIGHUP or 9; KILL by default",
		Type: "string", parse: func(s string) (any, error) {
			if n, err := strconv.ParseUint(s, 10, 8); err == nil && n >= 1 && n <= 64 {
				return syscall.Signal(n), nil
			}
			name := strings.ToUpper(s)
			if !strings.HasPrefix(name, "SIG") {
				name = "SIG" + name
			}
			if sig := unix.SignalNum(name); sig != 0 {
				return sig, nil
			}
			return nil, errors.New("must be a signal's name such as TERM or SIGHUP, or a number from 1 to 64")
		}}
}

// pathParam is a path inside a container.
func pathParam() Param {
	return Param{Name: "path", Doc: "an absolute path in the container", Type: "string", Required: true, parse: func(s string) (any, error) {
		if !strings.HasPrefix(s, "/") || strings.ContainsRune(s, 0) || len(s) > 4096 {
			return nil, errors.New("must be an absolute path of at most 4096 bytes")
		}
		return s, nil
	}}
}

func envParam() Param {
	return Param{Name: "env", Doc: "an environment variable, NAME=VALUE", Type: "string", Repeated: true, parse: func(s string) (any, error) {
		name, value, ok := strings.Cut(s, "=")
		if !ok || name == "" {
			return nil, errors.New("must be NAME=VALUE")
		}
		return api.EnvVar{Name: name, Value: value}, nil
	}}
}

func phaseParam() Param {
	phases := []string{string(api.PhasePending), string(api.PhaseRunning), string(api.PhaseSucceeded), string(api.PhaseFailed)}
	return choiceParam("phase", "only instances in this phase", phases...).repeated()
}

func selectorParam() Param {
	return Param{Name: "selector", Doc: "only instances with these labels: k=v, k!=v, k, !k, k in (a,b), k notin (a,b), separated by commas",
		Type: "string", parse: func(s string) (any, error) {
			if _, err := api.ParseSelector(s); err != nil {
				e, _ := errors.AsType[*api.Error](err)
				return nil, fmt.Errorf("%s; it %s", e.Message, e.Next)
			}
			return s, nil
		}}
}
