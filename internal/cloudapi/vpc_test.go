package cloudapi_test

import (
	"strings"
	"testing"

	"cis/api"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/vpc"
)

func TestVPCs(t *testing.T) {
	l := newLab()
	var made vpc.CreateVpcResponse
	l.ok(t, "vpc:CreateVpc", `{"VpcName":"lab","CidrBlock":"10.1.0.0/16","EnableMulticast":"false","Tags":[{"Key":"a","Value":"b"}]}`, &made)
	v := made.Vpc
	if v.VpcId != "vpc-lab" || v.CidrBlock != "10.1.0.0/16" || v.IsDefault || v.TagSet[0] != (vpc.Tag{Key: "a", Value: "b"}) || v.DomainName != "lab.internal" {
		t.Errorf("%+v", v)
	}
	l.bad(t, "vpc:CreateVpc", `{"VpcName":"lab","CidrBlock":"10.1.0.0/16"}`, cloud.ResourceInUse, "lab")
	l.bad(t, "vpc:CreateVpc", `{"VpcName":"My VPC","CidrBlock":"10.1.0.0/16"}`, cloud.InvalidParameterValue, "VpcName: ")
	l.bad(t, "vpc:CreateVpc", `{"VpcName":"a","CidrBlock":"1.1.0.0/16"}`, cloud.InvalidParameterValue, "CidrBlock: ")
	l.bad(t, "vpc:CreateVpc", `{"VpcName":"a","CidrBlock":"10.1.0.0/16","Tags":[{"Key":"a b"}]}`, cloud.InvalidParameterValue, "Tags.a b: ")
	l.bad(t, "vpc:CreateVpc", `{"VpcName":"a","CidrBlock":"10.1.0.0/16","DnsServers":["1.1.1.1"]}`, cloud.UnsupportedOperation, "DnsServers: ")
	list := func(body, want string) {
		t.Helper()
		var r vpc.DescribeVpcsResponse
		l.ok(t, "vpc:DescribeVpcs", body, &r)
		var names []string
		for _, v := range r.VpcSet {
			names = append(names, v.VpcName)
		}
		if strings.Join(names, " ") != want {
			t.Errorf("%s: %q, want %q", body, names, want)
		}
	}
	list(`{}`, "default lab")
	list(`{"Limit":"1","Offset":"1"}`, "lab")
	list(`{"VpcIds":["vpc-lab","vpc-none"]}`, "lab")
	list(`{"Filters":[{"Name":"vpc-name","Values":["a"]},{"Name":"is-default","Values":["true"]}]}`, "default")
	list(`{"Filters":[{"Name":"tag:a","Values":["b"]},{"Name":"tag-key","Values":["a"]},{"Name":"cidr-block","Values":["10.1.0.0/16"]}]}`, "lab")
	l.bad(t, "vpc:DescribeVpcs", `{"VpcIds":["vpc-lab"],"Filters":[{"Name":"vpc-name","Values":["a"]}]}`, cloud.InvalidParameterValue, "Filters: excludes VpcIds")
	l.bad(t, "vpc:DescribeVpcs", `{"Filters":[{"Name":"x","Values":["a"]}]}`, cloud.InvalidParameterValue, "Filters.0.Name: ")
	l.ok(t, "vpc:ModifyVpcAttribute", `{"VpcId":"vpc-lab","VpcName":"lab"}`, nil)
	l.bad(t, "vpc:ModifyVpcAttribute", `{"VpcId":"vpc-lab","VpcName":"x"}`, cloud.UnsupportedOperation, "VpcName: ")

	var sub vpc.CreateSubnetResponse
	l.ok(t, "vpc:CreateSubnet", `{"VpcId":"vpc-lab","SubnetName":"front","CidrBlock":"10.1.1.0/24","Zone":"local-1"}`, &sub)
	if s := sub.Subnet; s.VpcId != "vpc-lab" || s.SubnetId != "subnet-front" || s.TotalIpAddressCount != 253 || s.Zone != "local-1" {
		t.Errorf("%+v", s)
	}
	l.bad(t, "vpc:CreateSubnet", `{"VpcId":"vpc-lab","SubnetName":"b","CidrBlock":"10.1.1.0/24","Zone":"x"}`, cloud.InvalidParameterValue, "Zone: ")
	l.bad(t, "vpc:CreateSubnet", `{"VpcId":"vpc-none","SubnetName":"b","CidrBlock":"10.1.1.0/24","Zone":"local-1"}`, cloud.ResourceNotFound, "VpcId: ")
	l.bad(t, "vpc:CreateSubnet", `{"VpcId":"vpc-lab","SubnetName":"b","CidrBlock":"10.1.1.0/30","Zone":"local-1"}`, cloud.InvalidParameterValue, "CidrBlock: ")
	var subnets vpc.DescribeSubnetsResponse
	l.ok(t, "vpc:DescribeSubnets", `{"Filters":[{"Name":"vpc-id","Values":["vpc-lab"]}]}`, &subnets)
	if subnets.TotalCount != 1 || subnets.SubnetSet[0].SubnetName != "front" || subnets.SubnetSet[0].VpcId != "vpc-lab" {
		t.Errorf("%+v", subnets)
	}
	l.bad(t, "vpc:ModifySubnetAttribute", `{"SubnetId":"subnet-front","SubnetName":"x"}`, cloud.UnsupportedOperation, "SubnetName: ")
	l.ok(t, "vpc:ModifySubnetAttribute", `{"SubnetId":"subnet-front"}`, nil)
	l.ok(t, "vpc:DeleteSubnet", `{"SubnetId":"subnet-front"}`, nil)
	l.bad(t, "vpc:DeleteSubnet", `{"SubnetId":"subnet-front"}`, cloud.ResourceNotFound, "SubnetId: ")
	l.ok(t, "vpc:DeleteVpc", `{"VpcId":"vpc-lab"}`, nil)
	l.bad(t, "vpc:DeleteVpc", `{"VpcId":"vpc-lab"}`, cloud.ResourceNotFound, "VpcId: ")
	l.bad(t, "vpc:DeleteVpc", `{"VpcId":"lab"}`, cloud.InvalidParameterValue, "VpcId: ")
}

func TestSecurityGroups(t *testing.T) {
	l := newLab()
	var made vpc.CreateSecurityGroupResponse
	l.ok(t, "vpc:CreateSecurityGroup", `{"GroupName":"web","GroupDescription":"for the web","ProjectId":"0"}`, &made)
	if g := made.SecurityGroup; g.SecurityGroupId != "sg-web" || g.SecurityGroupDesc != "for the web" {
		t.Errorf("%+v", g)
	}
	if g, _ := l.engine.SecurityGroup(t.Context(), "web"); g.Ingress == nil || g.Egress == nil || len(g.Ingress)+len(g.Egress) != 0 {
		t.Errorf("%+v", g)
	}
	set := func(s string) string { return `{"SecurityGroupId":"sg-web","SecurityGroupPolicySet":{` + s + `}}` }
	read := func(more string) *vpc.SecurityGroupPolicySet {
		t.Helper()
		var r vpc.DescribeSecurityGroupPoliciesResponse
		l.ok(t, "vpc:DescribeSecurityGroupPolicies", `{"SecurityGroupId":"sg-web"`+more+`}`, &r)
		return r.SecurityGroupPolicySet
	}
	l.ok(t, "vpc:CreateSecurityGroupPolicies", set(`"Version":"1","Ingress":[{"Protocol":"TCP","Port":"80","CidrBlock":"0.0.0.0/0","Action":"ACCEPT","PolicyDescription":"web"},`+
		`{"Protocol":"tcp","Port":"8000-8999","CidrBlock":"10.0.0.7"},{"SecurityGroupId":"sg-default","Port":"all"},{"Protocol":"ICMPv6","Ipv6CidrBlock":"fd00::/8"}]`), nil)
	p := read("")
	if len(p.Ingress) != 4 || p.Ingress[0].Port != "80" || p.Ingress[0].Action != "ACCEPT" || p.Ingress[1].CidrBlock != "10.0.0.7/32" || p.Ingress[2].SecurityGroupId != "sg-default" ||
		p.Ingress[2].Protocol != "ALL" || p.Ingress[2].Port != "ALL" || p.Ingress[3].Ipv6CidrBlock != "fd00::/8" || *p.Ingress[3].PolicyIndex != 3 || *p.Version != 2 || len(p.Egress) != 0 ||
		*p.PolicyStatistics != (vpc.PolicyStatistics{IngressIPv4TotalCount: 3, IngressIPv6TotalCount: 2}) {
		t.Errorf("%+v", p)
	}
	if p := read(`,"Filters":[{"Name":"protocol-type","Values":["TCP"]},{"Name":"ip","Values":["10.0"]},{"Name":"direction","Values":["INBOUND"]}]`); len(p.Ingress) != 1 || *p.Ingress[0].PolicyIndex != 1 {
		t.Errorf("%+v", p)
	}
	l.ok(t, "vpc:CreateSecurityGroupPolicies", set(`"Ingress":[{"PolicyIndex":0,"Protocol":"UDP","Port":"53","CidrBlock":"0.0.0.0/0"}]`), nil)
	l.ok(t, "vpc:DeleteSecurityGroupPolicies", set(`"Ingress":[{"PolicyIndex":1},{"Protocol":"UDP","Port":"53","CidrBlock":"0.0.0.0/0"}]`), nil)
	if p := read(""); len(p.Ingress) != 3 || p.Ingress[0].Port != "8000-8999" {
		t.Errorf("%+v", p)
	}
	for _, tt := range []struct {
		set  string
		code cloud.Code
		says string
	}{
		{`"Version":"1","Ingress":[{"CidrBlock":"0.0.0.0/0"}]`, cloud.ResourceInUse, "changed meanwhile"},
		{`"Version":"x"`, cloud.InvalidParameter, "SecurityGroupPolicySet.Version: "},
		{``, cloud.MissingParameter, "SecurityGroupPolicySet: "},
		{`"Ingress":[{"CidrBlock":"0.0.0.0/0","Action":"DROP"}]`, cloud.UnsupportedOperation, "SecurityGroupPolicySet.Ingress.0.Action: "},
		{`"Ingress":[{"CidrBlock":"0.0.0.0/0","Protocol":"GRE"}]`, cloud.InvalidParameterValue, "SecurityGroupPolicySet.Ingress.0.Protocol: "},
		{`"Ingress":[{"CidrBlock":"0.0.0.0/0","Protocol":"TCP","Port":"80,443"}]`, cloud.InvalidParameterValue, "Ingress.0.Port: "},
		{`"Ingress":[{"CidrBlock":"0.0.0.0/0","Protocol":"TCP","Port":"99999"}]`, cloud.InvalidParameterValue, "SecurityGroupPolicySet.Ingress.3.Port: "},
		{`"Egress":[{"CidrBlock":"fd00::/8"}]`, cloud.InvalidParameterValue, "Egress.0.CidrBlock: "},
		{`"Egress":[{"Protocol":"TCP"}]`, cloud.InvalidParameterValue, "exactly one of"},
		{`"Egress":[{"CidrBlock":"10.0.0.0/8","SecurityGroupId":"sg-default"}]`, cloud.InvalidParameterValue, "exactly one of"},
		{`"Egress":[{"SecurityGroupId":"sg-none"}]`, cloud.ResourceNotFound, "Egress.0.SecurityGroupId: "},
		{`"Egress":[{"AddressTemplate":{"AddressId":"ipm-1"}}]`, cloud.UnsupportedOperation, "Egress.0.AddressTemplate: "},
		{`"Egress":[{"PolicyIndex":5,"CidrBlock":"10.0.0.0/8"}]`, cloud.InvalidParameterValue, "Egress.0.PolicyIndex: "},
	} {
		l.bad(t, "vpc:CreateSecurityGroupPolicies", set(tt.set), tt.code, tt.says)
	}
	l.bad(t, "vpc:DeleteSecurityGroupPolicies", set(`"Ingress":[{"PolicyIndex":3}]`), cloud.ResourceNotFound, "PolicyIndex")
	l.bad(t, "vpc:DeleteSecurityGroupPolicies", set(`"Ingress":[{"Protocol":"UDP","CidrBlock":"10.9.0.0/16"}]`), cloud.ResourceNotFound, "no such policy")
	l.ok(t, "vpc:ModifySecurityGroupPolicies", set(`"Egress":[{"CidrBlock":"0.0.0.0/0"}]`), nil)
	if p := read(""); len(p.Ingress) != 0 || len(p.Egress) != 1 {
		t.Errorf("%+v", p)
	}
	l.bad(t, "vpc:ModifySecurityGroupPolicies", set(``), cloud.MissingParameter, "Ingress or Egress")
	l.ok(t, "vpc:ModifySecurityGroupPolicies", set(`"Version":"0"`), nil)
	if p := read(""); len(p.Ingress)+len(p.Egress) != 0 {
		t.Errorf("%+v", p)
	}
	l.ok(t, "vpc:ModifySecurityGroupAttribute", `{"SecurityGroupId":"sg-web","GroupDescription":"x"}`, nil)
	l.bad(t, "vpc:ModifySecurityGroupAttribute", `{"SecurityGroupId":"sg-web","GroupName":"x"}`, cloud.UnsupportedOperation, "GroupName: ")
	var groups vpc.DescribeSecurityGroupsResponse
	l.ok(t, "vpc:DescribeSecurityGroups", `{"OrderField":"CreatedTime","OrderDirection":"DESC"}`, &groups)
	if groups.TotalCount != 2 {
		t.Errorf("%+v", groups)
	}
	l.bad(t, "vpc:DescribeSecurityGroups", `{"OrderField":"UpdateTime"}`, cloud.UnsupportedOperation, "OrderField: ")
	l.ok(t, "vpc:DeleteSecurityGroup", `{"SecurityGroupId":"sg-web"}`, nil)
	l.bad(t, "vpc:DeleteSecurityGroup", `{"SecurityGroupId":"sg-web"}`, cloud.ResourceNotFound, "SecurityGroupId: ")
}

func TestAddresses(t *testing.T) {
	l := newLab()
	id := l.create(t, eksCreate)[0]
	var made vpc.AllocateAddressesResponse
	l.ok(t, "vpc:AllocateAddresses", `{"AddressCount":2,"AddressName":"a","ClientToken":"t","Tags":[{"Key":"k","Value":"v"}]}`, &made)
	first := made.AddressSet
	l.ok(t, "vpc:AllocateAddresses", `{"AddressCount":2,"AddressName":"a","ClientToken":"t","Tags":[{"Key":"k","Value":"v"}]}`, &made)
	if len(first) != 2 || strings.Join(first, " ") != strings.Join(made.AddressSet, " ") {
		t.Errorf("%q, then %q", first, made.AddressSet)
	}
	read := func(body string) []vpc.Address {
		t.Helper()
		var r vpc.DescribeAddressesResponse
		l.ok(t, "vpc:DescribeAddresses", body, &r)
		return r.AddressSet
	}
	one := `{"AddressId":"` + first[0] + `"`
	l.ok(t, "vpc:AssociateAddress", one+`,"InstanceId":"`+id+`"}`, nil)
	a := read(`{"Filters":[{"Name":"instance-id","Values":["` + strings.Replace(id, "eksci-", "cis-", 1) + `"]},{"Name":"tag:k","Values":["v"]}]}`)
	if len(a) != 1 || a[0].AddressStatus != "BIND" || a[0].InstanceId != id || a[0].PrivateAddressIp != "10.64.0.2" || a[0].AddressName != "a-0" ||
		len(a[0].TagSet) != 1 {
		t.Errorf("%+v", a)
	}
	if unbound := read(`{"Filters":[{"Name":"address-status","Values":["UNBIND"]}]}`); len(unbound) != 1 || unbound[0].InstanceId != "" {
		t.Errorf("%+v", unbound)
	}
	l.bad(t, "vpc:ReleaseAddresses", `{"AddressIds":["`+first[1]+`","`+first[0]+`"]}`, cloud.ResourceInUse, "AddressIds.1: ")
	other := l.create(t, with(eksCreate, `"web"`, `"other"`))[0]
	l.bad(t, "vpc:AssociateAddress", one+`,"InstanceId":"`+other+`"}`, cloud.ResourceInUse, "AddressId: ")
	l.bad(t, "vpc:AssociateAddress", one+`,"InstanceId":"ins-1"}`, cloud.InvalidParameterValue, "InstanceId: ")
	l.bad(t, "vpc:AssociateAddress", one+`}`, cloud.MissingParameter, "InstanceId")
	l.bad(t, "vpc:AssociateAddress", `{"AddressId":"`+first[1]+`","InstanceId":"eksci-ffffffffffff"}`, cloud.ResourceNotFound, "InstanceId: ")
	l.bad(t, "vpc:AssociateAddress", `{"AddressId":"eip-x","InstanceId":"`+id+`"}`, cloud.ResourceNotFound, "AddressId: ")
	l.ok(t, "vpc:DisassociateAddress", one+`}`, nil)
	l.bad(t, "vpc:DisassociateAddress", one+`}`, cloud.UnsupportedOperation, "AddressId: ")
	l.bad(t, "vpc:DisassociateAddress", one+`,"ReallocateNormalPublicIp":true}`, cloud.UnsupportedOperation, "ReallocateNormalPublicIp: ")
	l.bad(t, "vpc:ModifyAddressAttribute", one+`,"AddressName":"x"}`, cloud.UnsupportedOperation, "AddressName: ")
	l.ok(t, "vpc:ModifyAddressAttribute", one+`,"AddressName":"a-0"}`, nil)
	l.ok(t, "vpc:ReleaseAddresses", `{"AddressIds":["`+first[0]+`","`+first[1]+`"]}`, nil)
	l.bad(t, "vpc:ReleaseAddresses", `{"AddressIds":["`+first[0]+`"]}`, cloud.ResourceNotFound, "AddressIds.0: ")
	for more, says := range map[string]string{`"AddressCount":21`: "AddressCount: ", `"AddressName":"A"`: "AddressName: "} {
		l.bad(t, "vpc:AllocateAddresses", `{`+more+`}`, cloud.InvalidParameterValue, says)
	}
	l.bad(t, "vpc:AllocateAddresses", `{"InternetMaxBandwidthOut":5}`, cloud.UnsupportedOperation, "InternetMaxBandwidthOut: ")
	// All of them or none.
	if _, err := l.engine.CreateAddress(t.Context(), api.Address{Name: "b-1"}); err != nil {
		t.Fatal(err)
	}
	l.bad(t, "vpc:AllocateAddresses", `{"AddressCount":2,"AddressName":"b"}`, cloud.ResourceInUse, "b-1")
	if left := read(`{}`); len(left) != 1 {
		t.Errorf("%+v", left)
	}
}
