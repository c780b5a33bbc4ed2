package cli

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func TestDetachReader(t *testing.T) {
	for _, tt := range []struct {
		name, in, out string
		detached      bool
	}{
		{"plain", "ls\n", "ls\n", false},
		{"the keys", "ab\x10\x11cd", "ab", true},
		{"at once", "\x10\x11", "", true},
		{"first key alone", "a\x10b", "a\x10b", false},
		{"first key at the end", "a\x10", "a\x10", false},
		{"first key twice, then second", "\x10\x10\x11", "\x10", true},
		{"first key three times", "\x10\x10\x10", "\x10\x10\x10", false},
		{"second key alone", "\x11", "\x11", false},
	} {
		for kind, wrap := range map[string]func(io.Reader) io.Reader{
			"whole": func(r io.Reader) io.Reader { return r }, "byte by byte": iotest.OneByteReader, "end with data": iotest.DataErrReader,
		} {
			t.Run(tt.name+"/"+kind, func(t *testing.T) {
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				detached := false
				d := &detachReader{ctx: ctx, r: wrap(strings.NewReader(tt.in)), detach: func() { detached = true; cancel() }}
				got, err := io.ReadAll(d)
				if detached != tt.detached || string(got) != tt.out {
					t.Errorf("got %q, detached %v; want %q, %v", got, detached, tt.out, tt.detached)
				}
				if detached && !errors.Is(err, context.Canceled) {
					t.Errorf("after the keys the input must not just end: %v", err)
				}
			})
		}
	}
}

// TestDetachAfterInput: what came with the keys is handed over before they count.
func TestDetachAfterInput(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	d := &detachReader{ctx: ctx, r: strings.NewReader("ls\n\x10\x11"), detach: cancel}
	buf := make([]byte, 64)
	if n, err := d.Read(buf); string(buf[:n]) != "ls\n" || err != nil || ctx.Err() != nil {
		t.Errorf("first read: %q, %v, context %v", buf[:n], err, ctx.Err())
	}
	if n, err := d.Read(buf); n != 0 || !errors.Is(err, context.Canceled) || ctx.Err() == nil {
		t.Errorf("second read: %d bytes, %v, context %v", n, err, ctx.Err())
	}
}

func FuzzDetachReader(f *testing.F) {
	f.Add("ls \x10\x10\x11 x", 3)
	f.Fuzz(func(t *testing.T, in string, chunk int) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		want, _, cut := strings.Cut(in, "\x10\x11")
		d := &detachReader{ctx: ctx, r: strings.NewReader(in), detach: cancel}
		var got []byte
		buf := make([]byte, 2+max(0, chunk%64))
		for {
			n, err := d.Read(buf)
			got = append(got, buf[:n]...)
			if err != nil {
				break
			}
		}
		if string(got) != want || (ctx.Err() != nil) != cut {
			t.Fatalf("%q became %q, detached %v", in, got, ctx.Err() != nil)
		}
	})
}
