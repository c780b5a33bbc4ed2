package cloudapi

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"cis/api"
	"cis/internal/cloudapi/cis"
	"cis/internal/cloudapi/eksci"
	"cis/internal/cloudapi/vpc"
)

type params = map[string]any

// changed is params with others in addition or in their place.
func changed(p params, with params) params {
	p = maps.Clone(p)
	maps.Copy(p, with)
	return p
}

func (x *sdk) cisCreate(name, script string) params {
	return params{"Zone": "local-1", "VpcId": "vpc-default", "SubnetId": "subnet-default", "InstanceName": name, "RestartPolicy": "Never",
		"Containers": []params{{"Name": "main", "Image": x.stage.Image, "Cpu": 0.1, "Memory": 0.0625, "Command": "sh", "Args": []string{"-c", script},
			"EnvironmentVars": []params{{"Name": "WORD", "Value": "a & b = ü"}}, "WorkingDir": "/tmp"}}}
}

func (x *sdk) eksCreate(name, script string) params {
	return params{"VpcId": "vpc-default", "SubnetId": "subnet-default", "SecurityGroupIds": []string{"sg-default"}, "EksCiName": name, "Cpu": 0.1, "Memory": 0.0625,
		"RestartPolicy": "Never", "Containers": []params{{"Name": "main", "Image": x.stage.Image, "Commands": []string{"sh", "-c"}, "Args": []string{script}}}}
}

func TestSDK(t *testing.T) {
	x := open(t, "-public-addresses", "203.0.113.16/28")
	for _, m := range modes {
		t.Run(m.sign+" "+m.method, func(t *testing.T) {
			t.Run("cis", func(t *testing.T) { x.cis(t, m) })
			t.Run("vpc", func(t *testing.T) { x.vpc(t, m) })
			t.Run("tke", func(t *testing.T) { x.tke(t, m) })
			t.Run("disk", func(t *testing.T) { x.disk(t, m) })
			t.Run("refusals", func(t *testing.T) { x.refusals(t, m) })
		})
	}
	t.Run("replicas", x.replicas)
	t.Run("at once", x.atOnce)
}

// nextSecond waits until the same request has another signature.
func nextSecond() { time.Sleep(1100 * time.Millisecond) }

// slug is a mode in a name.
func (m mode) slug() string {
	return strings.ToLower(strings.NewReplacer("-HMAC-SHA256", "", "Hmac", "").Replace(m.sign) + "-" + m.method)
}

func (x *sdk) cis(t *testing.T, m mode) {
	name := params{"InstanceName": "cis-" + m.slug()}
	var made cis.CreateContainerInstanceResponse
	x.ok(t, m, "cis:CreateContainerInstance", x.cisCreate("cis-"+m.slug(), `echo "$WORD"; pwd; echo late >&2; exit 3`), &made)
	var shown cis.DescribeContainerInstanceResponse
	until(t, "ended", func() bool {
		x.ok(t, m, "cis:DescribeContainerInstance", name, &shown)
		return shown.ContainerInstance.State == "Failed"
	})
	in := shown.ContainerInstance
	if in.InstanceId != made.InstanceId || in.Containers[0].CurrentState.State != "Terminated" || *in.Containers[0].CurrentState.ExitCode != 3 || in.LanIp == "" ||
		in.VpcId != "vpc-default" || in.Containers[0].Memory != 0.0625 {
		t.Errorf("%+v", in)
	}
	var logs cis.DescribeContainerLogResponse
	x.ok(t, m, "cis:DescribeContainerLog", changed(name, params{"Tail": 10, "ContainerName": "main"}), &logs)
	var lines []string
	for _, l := range logs.ContainerLogList {
		lines = append(lines, l.Log)
	}
	slices.Sort(lines) // what comes by two streams has no order
	if got := strings.Join(lines, "|"); got != "/tmp|a & b = ü|late" {
		t.Errorf("logs %q", got)
	}
	var events cis.DescribeContainerInstanceEventsResponse
	x.ok(t, m, "cis:DescribeContainerInstanceEvents", name, &events)
	if len(events.EventList) == 0 {
		t.Error("no events")
	}
	var list cis.DescribeContainerInstancesResponse
	x.ok(t, m, "cis:DescribeContainerInstances", params{"Limit": 5, "Filters": []params{{"Name": "InstanceName", "ValueList": []string{m.slug()}}}}, &list)
	if list.TotalCount != 1 || list.ContainerInstanceList[0].InstanceName != "cis-"+m.slug() {
		t.Errorf("%+v", list)
	}
	x.ok(t, m, "cis:InquiryPriceCreateCis", params{"Zone": "local-1", "Cpu": 0.5, "Memory": 0.5}, nil)
	x.bad(t, m, "cis:CreateContainerInstance", x.cisCreate("cis-"+m.slug(), "true"), "ResourceInUse", "InstanceName")
	x.bad(t, m, "cis:CreateContainerInstance", changed(x.cisCreate("x", "true"), params{"Zone": "ap-chengdu-1"}), "InvalidParameter", "Zone")
	x.bad(t, m, "cis:DescribeContainerInstance", params{"InstanceName": "nobody"}, "ResourceNotFound", "nobody")
	x.bad(t, m, "cis:DescribeContainerInstances", params{"Limit": 1000}, "InvalidParameter", "Limit")
	x.bad(t, m, "cis:DescribeContainerInstanceEvents", params{"InstanceName": "nobody"}, "ResourceNotFound", "nobody")
	x.bad(t, m, "cis:DescribeContainerLog", changed(name, params{"ContainerName": "x"}), "ResourceNotFound", "ContainerName")
	x.bad(t, m, "cis:InquiryPriceCreateCis", params{"Zone": "local-1", "Cpu": 0.01, "Memory": 1}, "InvalidParameter", "Cpu")
	var gone cis.DeleteContainerInstanceResponse
	x.ok(t, m, "cis:DeleteContainerInstance", name, &gone)
	if gone.Msg != "cis-"+m.slug()+" has beed deleted" {
		t.Errorf("%q", gone.Msg)
	}
	nextSecond()
	x.bad(t, m, "cis:DeleteContainerInstance", name, "ResourceNotFound", "InstanceName")
}

func (x *sdk) vpc(t *testing.T, m mode) {
	var v vpc.CreateVpcResponse
	x.ok(t, m, "vpc:CreateVpc", params{"VpcName": m.slug(), "CidrBlock": "10.9.0.0/16", "Tags": []params{{"Key": "by", "Value": "sdk"}}}, &v)
	id := params{"VpcId": v.Vpc.VpcId}
	var s vpc.CreateSubnetResponse
	x.ok(t, m, "vpc:CreateSubnet", params{"VpcId": v.Vpc.VpcId, "SubnetName": m.slug(), "CidrBlock": "10.9.1.0/24", "Zone": "local-1"}, &s)
	var vpcs vpc.DescribeVpcsResponse
	x.ok(t, m, "vpc:DescribeVpcs", params{"Filters": []params{{"Name": "vpc-id", "Values": []string{v.Vpc.VpcId}}}, "Limit": "5"}, &vpcs)
	var subnets vpc.DescribeSubnetsResponse
	x.ok(t, m, "vpc:DescribeSubnets", params{"SubnetIds": []string{s.Subnet.SubnetId}}, &subnets)
	if vpcs.TotalCount != 1 || subnets.TotalCount != 1 || subnets.SubnetSet[0].VpcId != v.Vpc.VpcId || subnets.SubnetSet[0].AvailableIpAddressCount != 253 {
		t.Errorf("%+v, %+v", vpcs, subnets)
	}
	x.ok(t, m, "vpc:ModifyVpcAttribute", changed(id, params{"VpcName": m.slug()}), nil)
	x.ok(t, m, "vpc:ModifySubnetAttribute", params{"SubnetId": s.Subnet.SubnetId, "SubnetName": m.slug()}, nil)
	x.bad(t, m, "vpc:ModifyVpcAttribute", changed(id, params{"VpcName": "other"}), "UnsupportedOperation", "VpcName")
	x.bad(t, m, "vpc:ModifySubnetAttribute", params{"SubnetId": s.Subnet.SubnetId, "SubnetName": "other"}, "UnsupportedOperation", "SubnetName")
	x.bad(t, m, "vpc:CreateVpc", params{"VpcName": "a", "CidrBlock": "8.0.0.0/8"}, "InvalidParameterValue", "CidrBlock")
	x.bad(t, m, "vpc:CreateSubnet", params{"VpcId": v.Vpc.VpcId, "SubnetName": "b", "CidrBlock": "10.9.1.0/25", "Zone": "local-1"}, "ResourceInUse", "CidrBlock")
	x.bad(t, m, "vpc:DescribeVpcs", params{"Limit": "1000"}, "InvalidParameterValue", "Limit")
	x.bad(t, m, "vpc:DescribeSubnets", params{"Filters": []params{{"Name": "x", "Values": []string{"y"}}}}, "InvalidParameterValue", "Filters.0.Name")
	x.bad(t, m, "vpc:DeleteVpc", id, "ResourceInUse", m.slug())
	x.groups(t, m)
	x.addresses(t, m)
	x.ok(t, m, "vpc:DeleteSubnet", params{"SubnetId": s.Subnet.SubnetId}, nil)
	x.ok(t, m, "vpc:DeleteVpc", id, nil)
	nextSecond()
	x.bad(t, m, "vpc:DeleteSubnet", params{"SubnetId": s.Subnet.SubnetId}, "ResourceNotFound", "SubnetId")
}

func (x *sdk) groups(t *testing.T, m mode) {
	var g vpc.CreateSecurityGroupResponse
	x.ok(t, m, "vpc:CreateSecurityGroup", params{"GroupName": m.slug(), "GroupDescription": "by the SDK"}, &g)
	group := params{"SecurityGroupId": g.SecurityGroup.SecurityGroupId}
	set := func(s params) params { return changed(group, params{"SecurityGroupPolicySet": s}) }
	x.ok(t, m, "vpc:CreateSecurityGroupPolicies", set(params{"Ingress": []params{{"Protocol": "TCP", "Port": "80", "CidrBlock": "0.0.0.0/0", "Action": "ACCEPT"},
		{"Protocol": "ALL", "Port": "ALL", "SecurityGroupId": g.SecurityGroup.SecurityGroupId}}}), nil)
	var p vpc.DescribeSecurityGroupPoliciesResponse
	x.ok(t, m, "vpc:DescribeSecurityGroupPolicies", group, &p)
	if in := p.SecurityGroupPolicySet.Ingress; len(in) != 2 || in[0].Port != "80" || in[1].SecurityGroupId != g.SecurityGroup.SecurityGroupId || *p.SecurityGroupPolicySet.Version != 2 {
		t.Errorf("%+v", p.SecurityGroupPolicySet)
	}
	x.ok(t, m, "vpc:DeleteSecurityGroupPolicies", set(params{"Ingress": []params{{"PolicyIndex": 0}}, "Version": "2"}), nil)
	x.ok(t, m, "vpc:ModifySecurityGroupPolicies", set(params{"Egress": []params{{"Protocol": "UDP", "Port": "53", "CidrBlock": "0.0.0.0/0"}}}), nil)
	x.ok(t, m, "vpc:ModifySecurityGroupAttribute", changed(group, params{"GroupDescription": "still"}), nil)
	var all vpc.DescribeSecurityGroupsResponse
	x.ok(t, m, "vpc:DescribeSecurityGroups", params{"SecurityGroupIds": []string{g.SecurityGroup.SecurityGroupId}}, &all)
	if all.TotalCount != 1 || all.SecurityGroupSet[0].SecurityGroupDesc != "still" {
		t.Errorf("%+v", all)
	}
	x.bad(t, m, "vpc:CreateSecurityGroup", params{"GroupName": m.slug(), "GroupDescription": ""}, "ResourceInUse", m.slug())
	x.bad(t, m, "vpc:CreateSecurityGroupPolicies", set(params{"Ingress": []params{{"CidrBlock": "0.0.0.0/0", "Action": "DROP"}}}), "UnsupportedOperation", "Ingress.0.Action")
	x.bad(t, m, "vpc:DeleteSecurityGroupPolicies", set(params{"Ingress": []params{{"PolicyIndex": 9}}}), "ResourceNotFound", "PolicyIndex")
	x.bad(t, m, "vpc:ModifySecurityGroupPolicies", set(params{"Version": "1", "Egress": []params{{"CidrBlock": "0.0.0.0/0"}}}), "ResourceInUse", "")
	x.bad(t, m, "vpc:ModifySecurityGroupAttribute", changed(group, params{"GroupName": "x"}), "UnsupportedOperation", "GroupName")
	x.bad(t, m, "vpc:DescribeSecurityGroupPolicies", params{"SecurityGroupId": "sg-none"}, "ResourceNotFound", "SecurityGroupId")
	x.bad(t, m, "vpc:DescribeSecurityGroups", params{"OrderField": "UpdateTime"}, "UnsupportedOperation", "OrderField")
	x.ok(t, m, "vpc:DeleteSecurityGroup", group, nil)
	nextSecond()
	x.bad(t, m, "vpc:DeleteSecurityGroup", group, "ResourceNotFound", "SecurityGroupId")
}

func (x *sdk) addresses(t *testing.T, m mode) {
	var in eksci.CreateEKSContainerInstancesResponse
	x.ok(t, m, "tke:CreateEKSContainerInstances", x.eksCreate("eip-user-"+m.slug(), "sleep 1000"), &in)
	var made vpc.AllocateAddressesResponse
	x.ok(t, m, "vpc:AllocateAddresses", params{"AddressCount": 2, "AddressName": m.slug()}, &made)
	one := params{"AddressId": made.AddressSet[0]}
	x.ok(t, m, "vpc:AssociateAddress", changed(one, params{"InstanceId": in.EksCiIds[0]}), nil)
	var shown vpc.DescribeAddressesResponse
	x.ok(t, m, "vpc:DescribeAddresses", params{"Filters": []params{{"Name": "instance-id", "Values": in.EksCiIds}}}, &shown)
	if shown.TotalCount != 1 || shown.AddressSet[0].AddressStatus != "BIND" || shown.AddressSet[0].PrivateAddressIp == "" {
		t.Errorf("%+v", shown)
	}
	x.bad(t, m, "vpc:ReleaseAddresses", params{"AddressIds": made.AddressSet}, "ResourceInUse", "AddressIds.0")
	x.bad(t, m, "vpc:AllocateAddresses", params{"AddressCount": 100}, "InvalidParameterValue", "AddressCount")
	x.bad(t, m, "vpc:AssociateAddress", changed(one, params{"InstanceId": "ins-12345678"}), "InvalidParameterValue", "InstanceId")
	x.bad(t, m, "vpc:ModifyAddressAttribute", changed(one, params{"AddressName": "x"}), "UnsupportedOperation", "AddressName")
	x.bad(t, m, "vpc:DescribeAddresses", params{"Limit": 1000}, "InvalidParameterValue", "Limit")
	x.ok(t, m, "vpc:ModifyAddressAttribute", changed(one, params{"AddressName": m.slug() + "-0"}), nil)
	x.ok(t, m, "vpc:DisassociateAddress", one, nil)
	x.bad(t, m, "vpc:DisassociateAddress", changed(one, params{"ReallocateNormalPublicIp": true}), "UnsupportedOperation", "ReallocateNormalPublicIp")
	x.ok(t, m, "vpc:ReleaseAddresses", params{"AddressIds": made.AddressSet}, nil)
	x.ok(t, m, "tke:DeleteEKSContainerInstances", params{"EksCiIds": in.EksCiIds}, nil)
}

func (x *sdk) tke(t *testing.T, m mode) {
	create := changed(x.eksCreate("eks-"+m.slug(), "cat /tmp/x 2>&1; echo one; sleep 1000"), params{
		"InitContainers": []params{{"Name": "first", "Image": x.stage.Image, "Commands": []string{"true"}}},
		"DnsConfig":      params{"Searches": []string{"a.example"}, "Options": []params{{"Name": "ndots", "Value": "2"}}},
	})
	create["Containers"].([]params)[0]["ReadinessProbe"] = params{"Probe": params{"PeriodSeconds": 1}, "Exec": params{"Commands": []string{"true"}}}
	var made eksci.CreateEKSContainerInstancesResponse
	x.ok(t, m, "tke:CreateEKSContainerInstances", create, &made)
	ids, id := params{"EksCiIds": made.EksCiIds}, params{"EksCiId": made.EksCiIds[0]}
	var shown eksci.DescribeEKSContainerInstancesResponse
	runs := func() bool {
		x.ok(t, m, "tke:DescribeEKSContainerInstances", ids, &shown)
		return shown.EksCis[0].Containers[0].CurrentState.State == "running"
	}
	until(t, "running", runs)
	if c := shown.EksCis[0]; c.Status != "Running" || c.InitContainers[0].CurrentState.State != "exited" || c.SecurityGroupIds[0] != "sg-default" || c.PrivateIp == "" {
		t.Errorf("%+v", c)
	}
	var logs eksci.DescribeEksContainerInstanceLogResponse
	until(t, "heard", func() bool {
		x.ok(t, m, "tke:DescribeEksContainerInstanceLog", changed(id, params{"Tail": 1}), &logs)
		return logs.LogContent == "one\n"
	})
	began := shown.EksCis[0].Containers[0].CurrentState.StartTime
	time.Sleep(time.Second) // which is in whole seconds
	x.ok(t, m, "tke:RestartEKSContainerInstances", ids, nil)
	until(t, "running again", func() bool { return runs() && shown.EksCis[0].Containers[0].CurrentState.StartTime != began })
	x.ok(t, m, "tke:UpdateEKSContainerInstance", changed(id, params{"Containers": []params{{"Name": "next", "Image": x.stage.Image, "Commands": []string{"sh", "-c", "exit 0"}}}}), nil)
	until(t, "succeeded", func() bool {
		x.ok(t, m, "tke:DescribeEKSContainerInstances", changed(ids, params{"Filters": []params{{"Name": "status", "Values": []string{"Succeeded"}}}}), &shown)
		return shown.TotalCount == 1
	})
	if c := shown.EksCis[0]; c.Containers[0].Name != "next" || *c.Containers[0].CurrentState.ExitCode != 0 || c.SucceededTime == "" {
		t.Errorf("%+v", c)
	}
	var events eksci.DescribeEKSContainerInstanceEventResponse
	x.ok(t, m, "tke:DescribeEKSContainerInstanceEvent", changed(id, params{"Limit": 3}), &events)
	if len(events.Events) != 3 || events.EksCiId != made.EksCiIds[0] {
		t.Errorf("%+v", events)
	}
	var regions eksci.DescribeEKSContainerInstanceRegionsResponse
	x.ok(t, m, "tke:DescribeEKSContainerInstanceRegions", params{}, &regions)
	if regions.TotalCount != 1 || regions.Regions[0].RegionName != "local" {
		t.Errorf("%+v", regions)
	}
	x.bad(t, m, "tke:CreateEKSContainerInstances", changed(create, params{"EksCiName": "x", "GpuType": "T4"}), "UnsupportedOperation", "GpuType")
	x.bad(t, m, "tke:UpdateEKSContainerInstance", changed(id, params{"Name": "x"}), "UnsupportedOperation", "Name")
	x.bad(t, m, "tke:DescribeEksContainerInstanceLog", changed(id, params{"Tail": 9999}), "InvalidParameterValue", "Tail")
	x.bad(t, m, "tke:DescribeEKSContainerInstanceEvent", params{"EksCiId": "eksci-ffffffffffff"}, "ResourceNotFound", "EksCiId")
	x.bad(t, m, "tke:DescribeEKSContainerInstances", params{"Filters": []params{{"Name": "x", "Values": []string{"y"}}}}, "InvalidParameterValue", "Filters.0.Name")
	x.bad(t, m, "tke:RestartEKSContainerInstances", params{"EksCiIds": []string{"web"}}, "InvalidParameterValue", "EksCiIds.0")
	x.bad(t, m, "tke:DescribeEKSContainerInstanceRegions", params{"Foo": "1"}, "UnknownParameter", "Foo")
	x.ok(t, m, "tke:DeleteEKSContainerInstances", ids, nil)
	nextSecond()
	x.bad(t, m, "tke:DeleteEKSContainerInstances", ids, "ResourceNotFound", "EksCiIds.0")
}

// disk runs two instances, one after the other, with the same disk.
func (x *sdk) disk(t *testing.T, m mode) {
	d, err := x.stage.Client.CreateDisk(t.Context(), api.Disk{Name: "cbs-" + m.slug(), Size: api.MinDisk})
	if err != nil {
		t.Fatal(err)
	}
	with := func(name, script string) params {
		create := changed(x.eksCreate(name, script), params{"RestartPolicy": "Never", "EksCiVolume": params{"CbsVolumes": []params{{"Name": "data", "CbsDiskId": d.ID}}}})
		create["Containers"].([]params)[0]["VolumeMounts"] = []params{{"Name": "data", "MountPath": "/data"}}
		return create
	}
	run := func(name, script, says string) {
		t.Helper()
		var made eksci.CreateEKSContainerInstancesResponse
		x.ok(t, m, "tke:CreateEKSContainerInstances", with(name, script), &made)
		ids := params{"EksCiIds": made.EksCiIds}
		var shown eksci.DescribeEKSContainerInstancesResponse
		until(t, "succeeded", func() bool {
			x.ok(t, m, "tke:DescribeEKSContainerInstances", ids, &shown)
			return shown.EksCis[0].Status == "Succeeded"
		})
		if v := shown.EksCis[0].EksCiVolume; v == nil || v.CbsVolumes[0].CbsDiskId != d.ID {
			t.Errorf("volumes %+v", v)
		}
		var logs eksci.DescribeEksContainerInstanceLogResponse
		x.ok(t, m, "tke:DescribeEksContainerInstanceLog", params{"EksCiId": made.EksCiIds[0]}, &logs)
		if logs.LogContent != says {
			t.Errorf("%s says %q, want %q", name, logs.LogContent, says)
		}
		x.ok(t, m, "tke:DeleteEKSContainerInstances", ids, nil)
	}
	run("writes-"+m.slug(), "echo kept >/data/file", "")
	run("reads-"+m.slug(), "cat /data/file", "kept\n")
	wrong := with("x", "true")
	wrong["EksCiVolume"] = params{"CbsVolumes": []params{{"Name": "data", "CbsDiskId": "disk-none"}}}
	x.bad(t, m, "tke:CreateEKSContainerInstances", wrong, "InvalidParameterValue", "EksCiVolume.CbsVolumes.0.CbsDiskId")
}

func (x *sdk) refusals(t *testing.T, m mode) {
	x.bad(t, m, "vpc:DescribeVpcs", params{}, "AuthFailure.SignatureFailure", "", func(c *call) { c.SecretKey += "x" })
	x.bad(t, m, "vpc:DescribeVpcs", params{}, "AuthFailure.SecretIdNotFound", "", func(c *call) { c.SecretID += "x" })
	x.bad(t, m, "vpc:DescribeVpcs", params{}, "UnsupportedRegion", "local", func(c *call) { c.Region = "ap-guangzhou" })
	x.bad(t, m, "vpc:DescribeVpcs", params{"Foo": "bar"}, "UnknownParameter", "Foo")
	x.bad(t, m, "vpc:DescribeVpnGateways", params{}, "InvalidAction", "DescribeVpnGateways")
}

// replicas come with addresses of their own, all or none.
func (x *sdk) replicas(t *testing.T) {
	var made eksci.CreateEKSContainerInstancesResponse
	x.ok(t, tc3, "tke:CreateEKSContainerInstances", changed(x.eksCreate("many", "sleep 1000"), params{"Replicas": 3, "AutoCreateEip": true}), &made)
	var shown eksci.DescribeEKSContainerInstancesResponse
	x.ok(t, tc3, "tke:DescribeEKSContainerInstances", params{"Filters": []params{{"Name": "eks-ci-name", "Values": []string{"many"}}}}, &shown)
	if len(made.EksCiIds) != 3 || shown.TotalCount != 3 || shown.EksCis[2].EipAddress == "" || shown.EksCis[2].AutoCreatedEipId == "" {
		t.Errorf("%+v, %+v", made, shown)
	}
	x.bad(t, tc3, "tke:CreateEKSContainerInstances", changed(x.eksCreate("more", "sleep 1000"), params{"Replicas": 20, "AutoCreateEip": true}), "ResourceInsufficient", "")
	x.ok(t, tc3, "tke:DeleteEKSContainerInstances", params{"EksCiIds": made.EksCiIds}, nil)
	var addresses vpc.DescribeAddressesResponse
	x.ok(t, tc3, "vpc:DescribeAddresses", params{}, &addresses)
	x.ok(t, tc3, "tke:DescribeEKSContainerInstances", params{}, &shown)
	if addresses.TotalCount != 0 || shown.TotalCount != 0 {
		t.Errorf("%d addresses and %d instances are left", addresses.TotalCount, shown.TotalCount)
	}
}

// atOnce: many clients at the same time, and each gets its own answer.
func (x *sdk) atOnce(t *testing.T) {
	const many = 20
	var work sync.WaitGroup
	each := func(do func(i int, m mode)) {
		t.Helper()
		for i := range many {
			work.Go(func() { do(i, modes[i%len(modes)]) })
		}
		work.Wait()
	}
	name := func(i int) params { return params{"InstanceName": fmt.Sprintf("at-once-%d", i)} }
	each(func(i int, m mode) {
		if a := x.do(t, m, "cis:CreateContainerInstance", x.cisCreate(fmt.Sprintf("at-once-%d", i), "sleep 1000")); a.Code != "" {
			t.Errorf("%d: %s: %s", i, a.Code, a.Message)
		}
	})
	each(func(i int, m mode) {
		a := x.do(t, m, "cis:DescribeContainerInstance", name(i))
		if !strings.Contains(string(a.Response), fmt.Sprintf(`"at-once-%d"`, i)) {
			t.Errorf("%d: %s%s", i, a.Response, a.Message)
		}
	})
	// The same change many times is made once.
	var mu sync.Mutex
	codes := map[string]int{}
	each(func(_ int, m mode) {
		a := x.do(t, m, "cis:DeleteContainerInstance", name(0))
		mu.Lock()
		defer mu.Unlock()
		codes[a.Code]++
	})
	if codes[""] == 0 || codes["InternalError"] > 0 {
		t.Errorf("%v", codes)
	}
	nextSecond()
	each(func(i int, m mode) {
		if a := x.do(t, m, "cis:DeleteContainerInstance", name(i)); i > 0 && a.Code != "" {
			t.Errorf("%d: %s: %s", i, a.Code, a.Message)
		}
	})
}
