package cloudapi_test

import (
	"context"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"cis/api"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/eksci"
)

const eksCreate = `{"EksCiName":"web","VpcId":"vpc-default","SubnetId":"subnet-default","SecurityGroupIds":["sg-default"],"Cpu":1,"Memory":1,` +
	`"Containers":[{"Name":"app","Image":"nginx","Commands":["sh"],"Args":["-c","x"],"WorkingDir":"/tmp","Cpu":0.5,"Memory":0.5,"EnvironmentVars":[{"Name":"A","Value":"1"}],` +
	`"LivenessProbe":{"Probe":{"PeriodSeconds":5},"HttpGet":{"Path":"/","Port":80,"Scheme":"HTTP"}},"ReadinessProbe":{"Probe":{},"Exec":{"Commands":["true"]}},` +
	`"SecurityContext":{"Capabilities":{"Add":["NET_ADMIN"],"Drop":["KILL"]}}}],` +
	`"InitContainers":[{"Name":"first","Image":"busybox"}],"DnsConfig":{"Nameservers":["1.1.1.1"],"Searches":["a.b"],"Options":[{"Name":"ndots","Value":"2"}]},` +
	`"ImageRegistryCredentials":[{"Server":"r.example.com","Username":"u","Password":"secret-p","Name":"c"}],"Replicas":1}`

// create makes instances and returns their IDs.
func (l *lab) create(t *testing.T, body string) []string {
	t.Helper()
	var made eksci.CreateEKSContainerInstancesResponse
	l.ok(t, "tke:CreateEKSContainerInstances", body, &made)
	return made.EksCiIds
}

func (l *lab) describe(t *testing.T, body string) eksci.DescribeEKSContainerInstancesResponse {
	t.Helper()
	var shown eksci.DescribeEKSContainerInstancesResponse
	l.ok(t, "tke:DescribeEKSContainerInstances", body, &shown)
	return shown
}

func TestEKSInstances(t *testing.T) {
	l := newLab()
	ids := l.create(t, eksCreate)
	if len(ids) != 1 || !regexp.MustCompile(`^eksci-[0-9a-f]{12}$`).MatchString(ids[0]) {
		t.Fatalf("IDs %q", ids)
	}
	in, err := l.engine.Get(t.Context(), "web")
	if err != nil {
		t.Fatal(err)
	}
	s := in.Spec
	if s.RestartPolicy != api.RestartAlways || s.CPU != 1000 || s.Memory != api.GiB || s.Containers[0].Resources.Limits.CPU != 500 ||
		s.Containers[0].LivenessProbe.HTTPGet.Port != 80 || s.Containers[0].LivenessProbe.PeriodSeconds != 5 || s.Containers[0].ReadinessProbe.TimeoutSeconds != 1 ||
		s.InitContainers[0].Name != "first" || s.DNSConfig.Options[0].Name != "ndots" || s.Containers[0].SecurityContext.Capabilities.Add[0] != "NET_ADMIN" ||
		s.Network.SecurityGroups[0] != "default" {
		t.Errorf("%+v", s)
	}
	shown := l.describe(t, `{"EksCiIds":["`+ids[0]+`"]}`)
	c := shown.EksCis[0]
	if shown.TotalCount != 1 || c.EksCiId != ids[0] || c.EksCiName != "web" || c.Status != "Running" || c.VpcId != "vpc-default" || c.SecurityGroupIds[0] != "sg-default" ||
		c.Containers[0].CurrentState.State != "running" || c.Containers[0].LivenessProbe.HttpGet.Port != 80 || c.InitContainers[0].Name != "first" ||
		c.Cpu != 1 || c.Containers[0].Memory != 0.5 || c.PrivateIp == "" {
		t.Errorf("%+v", c)
	}
	if a := l.send(t, "tke:DescribeEKSContainerInstances", `{}`); strings.Contains(fmt.Sprint(a.Fields), "secret-p") {
		t.Error("a password is shown")
	}
	one := `{"EksCiIds":["` + ids[0] + `"]}`
	l.ok(t, "tke:RestartEKSContainerInstances", one, nil)
	l.ok(t, "tke:UpdateEKSContainerInstance", `{"EksCiId":"`+ids[0]+`","RestartPolicy":"Never","Containers":[{"Name":"other","Image":"busybox"}]}`, nil)
	if in, _ = l.engine.Get(t.Context(), "web"); in.Spec.RestartPolicy != api.RestartNever || in.Spec.Containers[0].Name != "other" || in.Spec.CPU != 1000 || len(in.Spec.InitContainers) != 1 {
		t.Errorf("%+v", in.Spec)
	}
	if err := l.engine.Finish("web", 3); err != nil {
		t.Fatal(err)
	}
	c = l.describe(t, `{"Filters":[{"Name":"status","Values":["Failed"]},{"Name":"eks-ci-name","Values":["web"]}]}`).EksCis[0]
	if c.Containers[0].CurrentState.State != "exited" || *c.Containers[0].CurrentState.ExitCode != 3 || c.SucceededTime != "" {
		t.Errorf("%+v", c.Containers[0].CurrentState)
	}
	l.ok(t, "tke:DeleteEKSContainerInstances", one, nil)
	if n := l.describe(t, one).TotalCount; n != 0 {
		t.Errorf("%d are left", n)
	}
	l.bad(t, "tke:RestartEKSContainerInstances", one, cloud.ResourceNotFound, "EksCiIds.0: ")
	l.bad(t, "tke:DeleteEKSContainerInstances", one, cloud.ResourceNotFound, "EksCiIds.0: ")
	l.bad(t, "tke:DeleteEKSContainerInstances", `{"EksCiIds":["web"]}`, cloud.InvalidParameterValue, "EksCiIds.0: ")
	l.bad(t, "tke:DeleteEKSContainerInstances", `{"EksCiIds":[]}`, cloud.InvalidParameterValue, "EksCiIds: must be 1 to 20")
}

func TestEKSCreateRefuses(t *testing.T) {
	l := newLab()
	for _, tt := range []struct {
		old, fresh string
		code       cloud.Code
		says       string
	}{
		{"vpc-default", "default", cloud.InvalidParameterValue, "VpcId: "},
		{"vpc-default", "vpc-none", cloud.ResourceNotFound, "VpcId: "},
		{"subnet-default", "subnet-none", cloud.ResourceNotFound, "SubnetId: "},
		{`["sg-default"]`, `["sg-none"]`, cloud.ResourceNotFound, "SecurityGroupIds: "},
		{`["sg-default"]`, `["default"]`, cloud.InvalidParameterValue, "SecurityGroupIds.0: "},
		{`["sg-default"]`, `[]`, cloud.InvalidParameterValue, "SecurityGroupIds: "},
		{`"web"`, `"Web"`, cloud.InvalidParameterValue, "EksCiName: "},
		{`"web"`, `""`, cloud.InvalidParameterValue, "EksCiName: "},
		{`"Cpu":1,`, `"Cpu":64,`, cloud.InvalidParameterValue, "Cpu: must be at most"},
		{`"Cpu":0.5`, `"Cpu":2`, cloud.InvalidParameterValue, "Containers.0.Cpu: must be at most the instance's"},
		{`"Replicas":1`, `"Replicas":21`, cloud.InvalidParameterValue, "Replicas: "},
		{`"Replicas":1`, `"RestartPolicy":"No"`, cloud.InvalidParameterValue, "RestartPolicy: "},
		{`"Replicas":1`, `"CpuType":"intel"`, cloud.UnsupportedOperation, "CpuType: "},
		{`"Replicas":1`, `"GpuType":"T4"`, cloud.UnsupportedOperation, "GpuType: "},
		{`"Replicas":1`, `"GpuCount":1`, cloud.UnsupportedOperation, "GpuCount: "},
		{`"Replicas":1`, `"CamRoleName":"x"`, cloud.UnsupportedOperation, "CamRoleName: "},
		{`"Replicas":1`, `"EksCiVolume":{"NfsVolumes":[{"Name":"a","Server":"b","Path":"c"}]}`, cloud.InvalidParameterValue, "EksCiVolume.NfsVolumes.0.Path: "},
		{`"Replicas":1`, `"EksCiVolume":{"NfsVolumes":[{"Name":"a","Server":"b","Path":"/"},{"Name":"c","Server":"b:c","Path":"/"}]}`, cloud.InvalidParameterValue, "EksCiVolume.NfsVolumes.1.Server: "},
		{`"Replicas":1`, `"EksCiVolume":{"CbsVolumes":[{"Name":"a","CbsDiskId":"disk-1"}],"NfsVolumes":[{"Name":"a","Server":"b","Path":"/"}]}`, cloud.InvalidParameterValue, "EksCiVolume.NfsVolumes.0.Name: "},
		{`"Replicas":1`, `"EksCiVolume":{"CbsVolumes":[{"Name":"A","CbsDiskId":"disk-1"}],"NfsVolumes":[{"Name":"b","Server":"!","Path":"/"}]}`, cloud.InvalidParameterValue, "EksCiVolume.NfsVolumes.0.Server: "},
		{`"Replicas":1`, `"EksCiVolume":{"CbsVolumes":[{"Name":"a","CbsDiskId":"b"}]}`, cloud.InvalidParameterValue, "EksCiVolume.CbsVolumes.0.CbsDiskId: "},
		{`"Replicas":1`, `"EksCiVolume":{"CbsVolumes":[{"Name":"A","CbsDiskId":"disk-1"}]}`, cloud.InvalidParameterValue, "EksCiVolume.CbsVolumes.0.Name: "},
		{`"Replicas":1`, `"Replicas":2,"EksCiVolume":{"CbsVolumes":[{"Name":"a","CbsDiskId":"disk-1"}]}`, cloud.InvalidParameterValue, "Replicas: "},
		{`"Replicas":1`, `"AutoCreateEip":true,"ExistedEipIds":["eip-00000001"]`, cloud.InvalidParameterValue, "AutoCreateEip: "},
		{`"Replicas":1`, `"ExistedEipIds":["eip-00000001"]`, cloud.ResourceNotFound, "ExistedEipIds: "},
		{`"Replicas":1`, `"ExistedEipIds":["eip-00000001","eip-00000002"]`, cloud.InvalidParameterValue, "ExistedEipIds: "},
		{`"Replicas":1`, `"AutoCreateEipAttribute":{"DeletePolicy":"Never","InternetMaxBandwidthOut":5}`, cloud.UnsupportedOperation, "AutoCreateEipAttribute.InternetMaxBandwidthOut: "},
		{`{"Server":`, `{"Server":"a"},{"Server":`, cloud.UnsupportedOperation, "ImageRegistryCredentials.1: "},
		{`"r.example.com"`, `"r e"`, cloud.InvalidParameterValue, "ImageRegistryCredentials.0.Server: "},
		{`"Port":80`, `"Port":99999999999`, cloud.InvalidParameterValue, "Containers.0.LivenessProbe.HttpGet.Port: "},
		{`"PeriodSeconds":5`, `"PeriodSeconds":-5`, cloud.InvalidParameterValue, "Containers.0.LivenessProbe.Probe.PeriodSeconds: "},
		{`"Exec":{"Commands":["true"]}`, `"Exec":{"Commands":[]}`, cloud.InvalidParameterValue, "Containers.0.ReadinessProbe.Exec.Commands: "},
		{`"NET_ADMIN"`, `"FLY"`, cloud.InvalidParameterValue, "Containers.0.SecurityContext.Capabilities.Add.0: "},
		{`"WorkingDir":"/tmp"`, `"VolumeMounts":[{"Name":"v","MountPath":"/v"}]`, cloud.InvalidParameterValue, "Containers.0.VolumeMounts.0.Name: "},
		{`"WorkingDir":"/tmp"`, `"VolumeMounts":[{"Name":"v","MountPath":"/v","SubPath":"x"}]`, cloud.UnsupportedOperation, "Containers.0.VolumeMounts.0.SubPath: "},
		{`"1.1.1.1"`, `"one"`, cloud.InvalidParameterValue, "DnsConfig.Nameservers.0: "},
		{`"Name":"first"`, `"Name":"app"`, cloud.InvalidParameterValue, "app"},
	} {
		l.bad(t, "tke:CreateEKSContainerInstances", with(eksCreate, tt.old, tt.fresh), tt.code, tt.says)
	}
	if n := l.describe(t, `{}`).TotalCount; n != 0 {
		t.Errorf("%d were made", n)
	}
}

func TestEKSNFS(t *testing.T) {
	l := newLab()
	l.create(t, with(eksCreate, `"Replicas":1`, `"EksCiVolume":{"CbsVolumes":[{"Name":"d","CbsDiskId":"disk-1"}],"NfsVolumes":[{"Name":"n","Server":"nas.lan","Path":"/data","ReadOnly":true}]}`))
	in, err := l.engine.Get(t.Context(), "web")
	if want := (api.NFSVolume{Server: "nas.lan", Path: "/data", ReadOnly: true}); err != nil || in.Spec.Volumes[1].Name != "n" || *in.Spec.Volumes[1].NFS != want {
		t.Errorf("%+v, %v", in.Spec.Volumes, err)
	}
	shown := l.describe(t, `{}`).EksCis[0].EksCiVolume
	if want := (eksci.NfsVolume{Name: "n", Server: "nas.lan", Path: "/data", ReadOnly: true}); shown == nil || len(shown.CbsVolumes) != 1 || len(shown.NfsVolumes) != 1 || shown.NfsVolumes[0] != want {
		t.Errorf("%+v", shown)
	}
}

func TestEKSReplicasAndAddresses(t *testing.T) {
	l := newLab()
	addresses := func(want int) []api.Address {
		t.Helper()
		all, err := l.engine.Addresses(t.Context())
		if err != nil || len(all) != want {
			t.Fatalf("%d addresses, want %d: %v", len(all), want, err)
		}
		return all
	}
	ids := l.create(t, with(eksCreate, `"Replicas":1`, `"Replicas":3,"AutoCreateEip":true`))
	shown := l.describe(t, `{"Filters":[{"Name":"eks-ci-name","Values":["web"]}]}`)
	if len(ids) != 3 || shown.TotalCount != 3 || shown.EksCis[2].EksCiName != "web" || shown.EksCis[2].AutoCreatedEipId == "" || shown.EksCis[2].EipAddress == "" {
		t.Errorf("%q, %+v", ids, shown)
	}
	addresses(3)
	l.ok(t, "tke:DeleteEKSContainerInstances", `{"EksCiIds":["`+strings.Join(ids, `","`)+`"]}`, nil)
	addresses(0)

	// Never keeps the address, unless it is asked to be released.
	keep := with(eksCreate, `"Replicas":1`, `"AutoCreateEipAttribute":{"DeletePolicy":"Never","InternetServiceProvider":"BGP"}`)
	id := l.create(t, keep)[0]
	if c := l.describe(t, `{}`).EksCis[0]; c.AutoCreatedEipId != addresses(1)[0].ID {
		t.Errorf("%+v", c)
	}
	l.ok(t, "tke:DeleteEKSContainerInstances", `{"EksCiIds":["`+id+`"]}`, nil)
	kept := addresses(1)[0]
	id = l.create(t, with(eksCreate, `"Replicas":1`, `"ExistedEipIds":["`+kept.ID+`"]`))[0]
	l.ok(t, "tke:DeleteEKSContainerInstances", `{"EksCiIds":["`+id+`"],"ReleaseAutoCreatedEip":true}`, nil)
	addresses(0)

	// All replicas or none.
	n := 0
	l.engine.OnCreate = func(context.Context) error {
		if n++; n == 3 {
			return api.Errorf(api.Exhausted, "the host is full")
		}
		return nil
	}
	l.bad(t, "tke:CreateEKSContainerInstances", with(keep, `{"EksCiName"`, `{"Replicas":4,"EksCiName"`), cloud.ResourceInsufficient, "the host is full")
	addresses(0)
	if n := l.describe(t, `{}`).TotalCount; n != 0 {
		t.Errorf("%d are left", n)
	}
}

func TestEKSUpdateRefuses(t *testing.T) {
	l := newLab()
	id := l.create(t, eksCreate)[0]
	update := func(more string, code cloud.Code, says string) {
		t.Helper()
		l.bad(t, "tke:UpdateEKSContainerInstance", `{"EksCiId":"`+id+`",`+more+`}`, code, says)
	}
	update(`"Name":"x"`, cloud.UnsupportedOperation, "Name: ")
	update(`"RestartPolicy":"x"`, cloud.InvalidParameterValue, "RestartPolicy: ")
	update(`"Containers":[]`, cloud.InvalidParameterValue, "Containers: ")
	update(`"Containers":[{"Name":"a","Image":"i","Cpu":2}]`, cloud.InvalidParameterValue, "Containers.0.Cpu: ")
	update(`"Containers":[{"Name":"first","Image":"i"}]`, cloud.InvalidParameterValue, "first")
	update(`"InitContainers":[{"Name":"x","Image":"i","LivenessProbe":{"Probe":{},"TcpSocket":{"Port":1}}}]`, cloud.InvalidParameterValue, "InitContainers.0.LivenessProbe: ")
	update(`"EksCiVolume":{"CbsVolumes":[{"Name":"a","CbsDiskId":"b"}]}`, cloud.UnsupportedOperation, "EksCiVolume: ")
	l.bad(t, "tke:UpdateEKSContainerInstance", `{"EksCiId":"eksci-ffffffffffff"}`, cloud.ResourceNotFound, "EksCiId: ")
}

func TestEKSEventsLogsAndRegions(t *testing.T) {
	l := newLab()
	id := l.create(t, eksCreate)[0]
	var events eksci.DescribeEKSContainerInstanceEventResponse
	l.ok(t, "tke:DescribeEKSContainerInstanceEvent", `{"EksCiId":"`+id+`","Limit":1}`, &events)
	if len(events.Events) != 1 || events.Events[0].PodName != "web" || events.Events[0].Count != 1 || events.EksCiId != id {
		t.Errorf("%+v", events)
	}
	l.bad(t, "tke:DescribeEKSContainerInstanceEvent", `{"EksCiId":"`+id+`","Limit":101}`, cloud.InvalidParameterValue, "Limit: ")
	if err := l.engine.Print("web", 1, strings.Repeat("0123456789\n", 600)); err != nil {
		t.Fatal(err)
	}
	logs := func(more string, lines int) {
		t.Helper()
		var r eksci.DescribeEksContainerInstanceLogResponse
		l.ok(t, "tke:DescribeEksContainerInstanceLog", `{"EksCiId":"`+id+`"`+more+`}`, &r)
		if n := strings.Count(r.LogContent, "0123456789\n"); n != lines || r.ContainerName != "app" {
			t.Errorf("%s gives %d lines of %s, want %d", more, n, r.ContainerName, lines)
		}
	}
	logs(``, 600) // the fake counts pieces
	logs(`,"LimitBytes":110`, 10)
	logs(`,"ContainerName":"app","SinceSeconds":60`, 600)
	logs(`,"StartTime":"2999-01-01T00:00:00Z"`, 0)
	for more, says := range map[string]string{`"Tail":2001`: "Tail: ", `"Tail":0`: "Tail: ", `"LimitBytes":2000000`: "LimitBytes: ", `"StartTime":"x"`: "StartTime: ",
		`"SinceSeconds":1,"StartTime":"2999-01-01T00:00:00Z"`: "SinceSeconds: excludes", `"SinceSeconds":0`: "SinceSeconds: "} {
		l.bad(t, "tke:DescribeEksContainerInstanceLog", `{"EksCiId":"`+id+`",`+more+`}`, cloud.InvalidParameterValue, says)
	}
	l.bad(t, "tke:DescribeEksContainerInstanceLog", `{"EksCiId":"`+id+`","ContainerName":"x"}`, cloud.ResourceNotFound, "ContainerName: ")
	var regions eksci.DescribeEKSContainerInstanceRegionsResponse
	l.ok(t, "tke:DescribeEKSContainerInstanceRegions", `{}`, &regions)
	if regions.TotalCount != 1 || regions.Regions[0].RegionName != "local" {
		t.Errorf("%+v", regions)
	}
}
