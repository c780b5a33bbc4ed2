package agentpb

import (
	"context"
	"errors"
	"io"
	"reflect"
	"testing"

	"cis/api"

	"github.com/containerd/ttrpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func TestErrorsCrossTheWire(t *testing.T) {
	for code := range statusCodes {
		want := &api.Error{Code: code, Message: "why", Field: "f", Next: "do"}
		for name, got := range map[string]error{"status": FromStatus(ToStatus(want)), "frame": FromError(ToError(want))} {
			if !reflect.DeepEqual(got, want) {
				t.Errorf("%s: %#v", name, got)
			}
		}
	}
	if ToStatus(nil) != nil || FromStatus(nil) != nil || FromError(ToError(nil)) != nil {
		t.Error("nil became an error")
	}
}

func TestFromStatusOfOtherErrors(t *testing.T) {
	for _, c := range []struct {
		err  error
		want api.Code
	}{
		{ttrpc.ErrClosed, api.Unavailable}, {io.EOF, api.Unavailable}, {errors.New("x"), api.Internal},
		{ToStatus(errors.New("x")), api.Internal}, {status.Error(codes.NotFound, "x"), api.NotFound},
		{status.Error(codes.Unimplemented, "x"), api.Unavailable}, {&api.Error{Code: api.Conflict}, api.Conflict},
		{FromError(&Error{Code: "nonsense"}), api.Internal},
	} {
		if got := api.CodeOf(FromStatus(c.err)); got != c.want {
			t.Errorf("%v: %s", c.err, got)
		}
	}
	if err := FromStatus(context.Canceled); err != context.Canceled {
		t.Error(err)
	}
}
