package server_test

import (
	"strings"
	"testing"
)

func TestDiskRoutes(t *testing.T) {
	w := newWorld(nil)
	for _, tt := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"POST", "/v1/disks", `{"name":"data","size":"1Gi"}`, 201, `"isolation":"gvisor"`},
		{"POST", "/v1/disks", `{"name":"data","size":"1Gi"}`, 409, "exists"},
		{"POST", "/v1/disks", `{"name":"other"}`, 400, `"field":"size"`},
		{"POST", "/v1/disks", `{"name":"other","size":"1Gi","attachedTo":"a"}`, 400, `"field":"attachedTo"`},
		{"GET", "/v1/disks", "", 200, `"name":"data"`},
		{"PATCH", "/v1/disks/data", `{"size":"2Gi"}`, 200, `"revision":2`},
		{"PATCH", "/v1/disks/data", `{"size":1}`, 400, `"field":"size"`},
		{"GET", "/v1/disks/data", "", 200, `"size":"2Gi"`},
		{"GET", "/v1/disks/none", "", 404, "no disk"},
		{"POST", "/v1/disksnapshots", `{"disk":"data","name":"before"}`, 201, `"size":"2Gi"`},
		{"POST", "/v1/disksnapshots", `{"disk":""}`, 400, `"field":"disk"`},
		{"GET", "/v1/disksnapshots", "", 200, `"disk":"data"`},
		{"GET", "/v1/disksnapshots/before", "", 200, `"name":"before"`},
		{"POST", "/v1/disks", `{"name":"copy","snapshot":"before"}`, 201, `"size":"2Gi"`},
		{"DELETE", "/v1/disksnapshots/before", "", 204, ""},
		{"POST", "/v1/instances", `{"name":"a","containers":[{"image":"b"}]}`, 201, ""},
		{"POST", "/v1/disks/data/attach", `{"instance":"a","mountPath":"/data"}`, 409, "instance a runs"},
		{"POST", "/v1/instances/a/stop", "", 200, ""},
		{"POST", "/v1/disks/data/attach", `{"instance":"a","mountPath":"data"}`, 400, `"field":"mountPath"`},
		{"POST", "/v1/disks/data/attach", `{"instance":"a","mountPath":"/data"}`, 200, `"disk":{"name":"data"}`},
		{"POST", "/v1/disks/data/detach", `{"instance":"a"}`, 200, `"name":"a"`},
		{"DELETE", "/v1/disks/data", "", 204, ""},
	} {
		rec := w.do(tt.method, tt.target, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.method, tt.target, rec.Code, rec.Body, tt.status, tt.says)
		}
	}
}
