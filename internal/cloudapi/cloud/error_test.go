package cloud_test

import (
	"errors"
	"testing"

	"cis/api"
	"cis/internal/cloudapi/cloud"
)

func TestFrom(t *testing.T) {
	names := cloud.Names{Whole: map[string]string{"name": "InstanceName"}, Parts: []string{"containers[", "Containers.", ".image", ".Image"}}
	inField := func(code api.Code, field string) error {
		e := api.Errorf(code, "why").WithNext("`cis ps` tells")
		e.Field = field
		return e
	}
	for _, tt := range []struct {
		err     error
		code    cloud.Code
		message string
	}{
		{inField(api.Invalid, "name"), cloud.InvalidParameterValue, "InstanceName: why"},
		{inField(api.Invalid, "containers[3].image"), cloud.InvalidParameterValue, "Containers.3.Image: why"},
		{inField(api.Invalid, ""), cloud.InvalidParameter, "why"},
		{inField(api.Conflict, "name"), cloud.ResourceInUse, "InstanceName: why"},
		{inField(api.NotFound, ""), cloud.ResourceNotFound, "why"},
		{inField(api.Forbidden, ""), cloud.UnauthorizedOperation, "why"},
		{inField(api.Unavailable, ""), cloud.ServiceUnavailable, "why"},
		{inField(api.Exhausted, ""), cloud.ResourceInsufficient, "why"},
		{inField(api.Exhausted, "quota.cpu"), cloud.LimitExceeded, "quota.cpu: why"},
		{errors.New("disk on fire"), cloud.InternalError, "something went wrong inside cis; the log of cisd has this request's ID"},
		{api.Join([]*api.Error{api.FieldError("name", "a"), api.FieldError("containers[0].image", "b").WithNext("try c")}),
			cloud.InvalidParameterValue, "InstanceName: a; Containers.0.Image: b (try c)"},
	} {
		if e := cloud.From(tt.err, names); e.Code != tt.code || e.Message != tt.message {
			t.Errorf("%v gives %v, want %s: %s", tt.err, e, tt.code, tt.message)
		}
	}
}
