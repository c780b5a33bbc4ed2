package server_test

import (
	"strings"
	"testing"
)

func TestNetworkRoutes(t *testing.T) {
	w := newWorld(nil)
	for _, tt := range []struct {
		method, target, body string
		status               int
		says                 string
	}{
		{"POST", "/v1/vpcs", `{"name":"shop","cidr":"10.1.0.0/16"}`, 201, `"mode":"on"`},
		{"GET", "/v1/vpcs", "", 200, `"name":"shop"`},
		{"PATCH", "/v1/vpcs/shop", `{"egress":{"mode":"rules","allow":[{}]}}`, 200, `"allow":[{"protocol":"any"}]`},
		{"GET", "/v1/vpcs/shop", "", 200, `"revision":2`},
		{"GET", "/v1/vpcs/shop/flows", "", 200, `"sourceInstance":"web"`},
		{"DELETE", "/v1/vpcs/shop", "", 204, ""},
		{"POST", "/v1/subnets", `{"name":"front","cidr":"10.1.1.0/24"}`, 201, `"vpc":"default"`},
		{"GET", "/v1/subnets", "", 200, `"available":253`},
		{"GET", "/v1/subnets/front", "", 200, `"name":"front"`},
		{"DELETE", "/v1/subnets/front", "", 204, ""},
		{"POST", "/v1/securitygroups", `{"name":"web","egress":[]}`, 201, `"ingress":[{"protocol":"any","securityGroup":"web"}],"egress":[]`},
		{"GET", "/v1/securitygroups", "", 200, `"name":"web"`},
		{"PATCH", "/v1/securitygroups/web", `{"ingress":[]}`, 200, `"ingress":[]`},
		{"GET", "/v1/securitygroups/web", "", 200, `"revision":2`},
		{"DELETE", "/v1/securitygroups/web", "", 204, ""},
		{"POST", "/v1/instances", `{"name":"a","containers":[{"image":"b"}]}`, 201, ""},
		{"POST", "/v1/addresses", `{"name":"front"}`, 201, `"address":"203.0.113.1"`},
		{"POST", "/v1/addresses/front/bind", `{"instance":"a"}`, 200, `"instance":"a"`},
		{"GET", "/v1/addresses/front", "", 200, `"instance":"a"`},
		{"POST", "/v1/addresses/front/unbind", "", 200, `"name":"front"`},
		{"GET", "/v1/addresses", "", 200, `"name":"front"`},
		{"DELETE", "/v1/addresses/front", "", 204, ""},
		{"POST", "/v1/network/check", `{"from":"a","to":"b","port":80}`, 200, `"protocol":"tcp","allowed":true`},
		{"GET", "/metrics", "", 200, `cis_instance_transmit_bytes_total{id="i-000000000001",name="a",vpc="default"} 2`},
	} {
		rec := w.do(tt.method, tt.target, tt.body)
		if rec.Code != tt.status || !strings.Contains(rec.Body.String(), tt.says) {
			t.Errorf("%s %s: %d %s, want %d with %s", tt.method, tt.target, rec.Code, rec.Body, tt.status, tt.says)
		}
	}
}

func TestBadNetworkInput(t *testing.T) {
	w := newWorld(nil)
	for _, tt := range []struct {
		method, target, body string
		status               int
		field                string
	}{
		{"POST", "/v1/vpcs", `{"name":"shop","cidr":"10.1.0.1/16"}`, 400, "cidr"},
		{"POST", "/v1/vpcs", `{"name":"default","cidr":"10.1.0.0/16"}`, 409, ""},
		{"PATCH", "/v1/vpcs/default", `{"cidr":"10.1.0.0/16"}`, 400, "cidr"},
		{"PATCH", "/v1/vpcs/none", `{}`, 404, ""},
		{"POST", "/v1/subnets", `{"name":"a","cidr":"10.1.1.0/24","cidr6":"fd00::/64"}`, 400, "cidr6"},
		{"POST", "/v1/securitygroups", `{"name":"web","ingress":[{"ports":"80"}]}`, 400, "ingress[0].ports"},
		{"PATCH", "/v1/securitygroups/web", `{"egress":[{"cidr":"x"}]}`, 400, "egress[0].cidr"},
		{"POST", "/v1/addresses", `{"instance":"a"}`, 400, "instance"},
		{"POST", "/v1/addresses/front/bind", `{}`, 400, "instance"},
		{"POST", "/v1/network/check", `{"from":"a","to":"b"}`, 400, "port"},
		{"GET", "/v1/vpcs/default/flows?since=1", "", 400, "since"},
	} {
		if p := wantProblem(t, w.do(tt.method, tt.target, tt.body), tt.status); p.Field != tt.field {
			t.Errorf("%s %s %s: field %q, want %q: %s", tt.method, tt.target, tt.body, p.Field, tt.field, p.Detail)
		}
	}
}
