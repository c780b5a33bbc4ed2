package cloudapi_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"cis/internal/cloudapi/cis"
	"cis/internal/cloudapi/cloud"
	"cis/internal/meter"
)

const cisCreate = `{"Zone":"local-1","VpcId":"vpc-default","SubnetId":"subnet-default","InstanceName":"cis-dev","RestartPolicy":"Never",` +
	`"Containers":[{"Name":"app","Image":"nginx","Cpu":0.25,"Memory":0.5,"Command":"sh","Args":["-c","x"],"WorkingDir":"/tmp","EnvironmentVars":[{"Name":"A","Value":"1"}]},` +
	`{"Name":"side","Image":"busybox","Cpu":0.5,"Memory":0.25}]}`

func TestCISInstances(t *testing.T) {
	l := newLab()
	var made cis.CreateContainerInstanceResponse
	l.ok(t, "cis:CreateContainerInstance", cisCreate, &made)
	if !regexp.MustCompile(`^cis-[0-9a-f]{12}$`).MatchString(made.InstanceId) {
		t.Errorf("ID %q", made.InstanceId)
	}
	in, err := l.engine.Get(t.Context(), "cis-dev")
	if err != nil {
		t.Fatal(err)
	}
	if s := in.Spec; s.CPU != 750 || s.Memory.String() != "768Mi" || s.Containers[0].Command[0] != "sh" || s.Network.Subnet != "default" {
		t.Errorf("%+v", s)
	}
	var shown struct{ ContainerInstance json.RawMessage }
	l.ok(t, "cis:DescribeContainerInstance", `{"InstanceName":"cis-dev"}`, &shown)
	for _, want := range []string{`"InstanceId":"` + made.InstanceId + `"`, `"VpcCidr":"10.64.0.0/16"`, `"SubnetId":"subnet-default"`, `"LanIp":"10.64.0.2"`,
		`"State":"Running"`, `"Command":null`, `"Args":null`, `"EnvironmentVars":null`, `"WorkingDir":null`, `"PreviousState":null`, `"Command":"sh"`, `"Cpu":0.25`, `"Memory":0.5`,
		`"CurrentState":{"State":"Running","StartTime":"`} {
		if !strings.Contains(string(shown.ContainerInstance), want) {
			t.Errorf("no %s in %s", want, shown.ContainerInstance)
		}
	}
	l.bad(t, "cis:CreateContainerInstance", cisCreate, cloud.ResourceInUse, "cis-dev")
	var gone cis.DeleteContainerInstanceResponse
	l.ok(t, "cis:DeleteContainerInstance", `{"InstanceName":"cis-dev"}`, &gone)
	if gone.Msg != "cis-dev has beed deleted" || len(l.engine.Graces) != 1 || l.engine.Graces[0].Seconds() != 10 {
		t.Errorf("%q, %v", gone.Msg, l.engine.Graces)
	}
	for _, action := range []string{"DescribeContainerInstance", "DeleteContainerInstance", "DescribeContainerInstanceEvents", "DescribeContainerLog"} {
		l.bad(t, "cis:"+action, `{"InstanceName":"cis-dev"}`, cloud.ResourceNotFound, `"cis-dev"`)
		l.bad(t, "cis:"+action, `{"InstanceName":"i-0000"}`, cloud.ResourceNotFound, `"i-0000"`)
		l.bad(t, "cis:"+action, `{}`, cloud.MissingParameter, "InstanceName")
	}
}

func TestCISCreateRefuses(t *testing.T) {
	l := newLab()
	for _, tt := range [][3]string{
		{`"Zone":"local-1"`, `"Zone":"ap-chengdu-1"`, "Zone: the only zone here is local-1"},
		{"vpc-default", "default", "VpcId: must be an ID"},
		{"subnet-default", "default", "SubnetId: must be an ID"},
		{`"InstanceName":"cis-dev"`, `"InstanceName":"Cis"`, "InstanceName: "},
		{`"InstanceName":"cis-dev"`, `"InstanceName":"1a"`, "InstanceName: "},
		{`"InstanceName":"cis-dev"`, `"InstanceName":"a` + strings.Repeat("b", 40) + `"`, "InstanceName: must be at most 40"},
		{`"InstanceName":"cis-dev"`, `"InstanceName":"i-abc"`, "InstanceName: must not look like"},
		{`"Never"`, `"Sometimes"`, "RestartPolicy: "},
		{`"Never"`, `""`, "RestartPolicy: "},
		{`"Cpu":0.25`, `"Cpu":0.26`, "Containers.0.Cpu: must be a multiple of 0.05"},
		{`"Cpu":0.25`, `"Cpu":-1`, "Containers.0.Cpu: "},
		{`"Cpu":0.5`, `"Cpu":64`, "Containers.Cpu: must be at most the host's 4 cores"},
		{`"Memory":0.25`, `"Memory":0.0001`, "Containers.1.Memory: must be a multiple of 1/1024"},
		{`"Memory":0.25`, `"Memory":100`, "Containers.Memory: must be at most"},
		{`"Name":"side"`, `"Name":"app"`, "Containers.1.Name: "},
		{`"Name":"side"`, `"Name":"-"`, "Containers.1.Name: "},
		{`"busybox"`, `"BUSY BOX"`, "Containers.1.Image: "},
		{`"/tmp"`, `"tmp"`, "Containers.0.WorkingDir: "},
		{`{"Name":"A"`, `{"Name":"A="`, "Containers.0.EnvironmentVars.0.Name: "},
	} {
		l.bad(t, "cis:CreateContainerInstance", with(cisCreate, tt[0], tt[1]), cloud.InvalidParameter, tt[2])
	}
	l.bad(t, "cis:CreateContainerInstance", with(cisCreate, "vpc-default", "vpc-none"), cloud.ResourceNotFound, "VpcId: ")
	l.bad(t, "cis:CreateContainerInstance", with(cisCreate, "subnet-default", "subnet-none"), cloud.ResourceNotFound, "SubnetId: ")
	l.bad(t, "cis:CreateContainerInstance", with(cisCreate, `"Containers":[`, `"Containers":[],"X":[`), cloud.UnknownParameter, "X: ")
	if list, _ := l.engine.List(t.Context(), listAll); len(list.Items) != 0 {
		t.Errorf("%d were made", len(list.Items))
	}
}

func TestCISLists(t *testing.T) {
	l := newLab()
	for _, name := range []string{"web-1", "web-2", "db", "web-3"} {
		l.ok(t, "cis:CreateContainerInstance", with(cisCreate, "cis-dev", name), nil)
	}
	list := func(body, want string, total int) {
		t.Helper()
		var r cis.DescribeContainerInstancesResponse
		l.ok(t, "cis:DescribeContainerInstances", body, &r)
		var names []string
		for _, in := range r.ContainerInstanceList {
			names = append(names, in.InstanceName)
		}
		if strings.Join(names, " ") != want || r.TotalCount != total {
			t.Errorf("%s: %q of %d, want %q of %d", body, names, r.TotalCount, want, total)
		}
	}
	list(`{}`, "web-1 web-2 db web-3", 4)
	list(`{"Limit":2,"Offset":1}`, "web-2 db", 4)
	list(`{"Offset":9}`, "", 4)
	list(`{"Filters":[{"Name":"InstanceName","ValueList":["eb-"]}],"Limit":1}`, "web-1", 3)
	list(`{"Filters":[{"Name":"InstanceName","ValueList":["d","3"]},{"Name":"Zone","ValueList":["local-1"]},{"Name":"VpcId","ValueList":["vpc-default"]}]}`, "db web-3", 2)
	list(`{"Filters":[{"Name":"Zone","ValueList":["local-2"]}]}`, "", 0)
	l.bad(t, "cis:DescribeContainerInstances", `{"Limit":101}`, cloud.InvalidParameter, "Limit: must be 1 to 100")
	l.bad(t, "cis:DescribeContainerInstances", `{"Limit":0}`, cloud.InvalidParameter, "Limit: ")
	l.bad(t, "cis:DescribeContainerInstances", `{"Filters":[{"Name":"State","ValueList":["x"]}]}`, cloud.InvalidParameter, "Filters.0.Name: must be one of InstanceName, VpcId, Zone")
	l.bad(t, "cis:DescribeContainerInstances", `{"Filters":[{"Name":"Zone","ValueList":[]}]}`, cloud.InvalidParameter, "Filters.0.ValueList: ")
	l.bad(t, "cis:DescribeContainerInstances", `{"Filters":[{"Name":"Zone","Values":["x"]}]}`, cloud.UnknownParameter, "Filters.0.Values: ")
}

func TestCISEventsAndLogs(t *testing.T) {
	l := newLab()
	l.ok(t, "cis:CreateContainerInstance", cisCreate, nil)
	var events cis.DescribeContainerInstanceEventsResponse
	l.ok(t, "cis:DescribeContainerInstanceEvents", `{"InstanceName":"cis-dev"}`, &events)
	if len(events.EventList) != 1 || events.EventList[0].Count != "1" || events.EventList[0].Level != "Normal" ||
		!regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+08:00$`).MatchString(events.EventList[0].FirstSeen) {
		t.Errorf("%+v", events)
	}
	for _, piece := range []string{"one\ntw", "o\nthree"} {
		if err := l.engine.Print("cis-dev", 1, piece); err != nil {
			t.Fatal(err)
		}
	}
	logs := func(body, want string) {
		t.Helper()
		var r cis.DescribeContainerLogResponse
		l.ok(t, "cis:DescribeContainerLog", body, &r)
		var lines []string
		for _, line := range r.ContainerLogList {
			lines = append(lines, line.Name+":"+line.Log)
		}
		if strings.Join(lines, " ") != want {
			t.Errorf("%s gives %q, want %q", body, lines, want)
		}
	}
	logs(`{"InstanceName":"cis-dev"}`, "app:one app:two app:three side:one side:two side:three")
	logs(`{"InstanceName":"cis-dev","ContainerName":"side"}`, "side:one side:two side:three")
	logs(`{"InstanceName":"cis-dev","ContainerName":"side","SinceTime":"2018-05-18 14:33:40"}`, "side:one side:two side:three")
	logs(`{"InstanceName":"cis-dev","ContainerName":"side","SinceTime":"2999-05-18T14:33:40Z"}`, "")
	l.bad(t, "cis:DescribeContainerLog", `{"InstanceName":"cis-dev","ContainerName":"x"}`, cloud.ResourceNotFound, "ContainerName: ")
	l.bad(t, "cis:DescribeContainerLog", `{"InstanceName":"cis-dev","Tail":0}`, cloud.InvalidParameter, "Tail: ")
	l.bad(t, "cis:DescribeContainerLog", `{"InstanceName":"cis-dev","SinceTime":"yesterday"}`, cloud.InvalidParameter, "SinceTime: ")
}

func TestCISPrice(t *testing.T) {
	l := newLab()
	price := func(want cis.Price) {
		t.Helper()
		var r cis.InquiryPriceCreateCisResponse
		l.ok(t, "cis:InquiryPriceCreateCis", `{"Zone":"local-1","Cpu":1,"Memory":1}`, &r)
		if *r.Price != want {
			t.Errorf("%+v, want %+v", r.Price, want)
		}
	}
	price(cis.Price{})
	var err error
	if l.engine.Prices, err = meter.ParsePrices([]byte("currency: CNY\ndiscountPercent: \"25\"\nvcpuHour: \"0.3\"\ngibHour: \"0.1\"\n")); err != nil {
		t.Fatal(err)
	}
	price(cis.Price{DiscountPrice: 0.3, OriginalPrice: 0.4})
	l.bad(t, "cis:InquiryPriceCreateCis", `{"Zone":"x","Cpu":1,"Memory":1}`, cloud.InvalidParameter, "Zone: ")
	l.bad(t, "cis:InquiryPriceCreateCis", `{"Zone":"local-1","Cpu":0.01,"Memory":1}`, cloud.InvalidParameter, "Cpu: ")
	l.bad(t, "cis:InquiryPriceCreateCis", `{"Zone":"local-1","Cpu":1,"Memory":99}`, cloud.InvalidParameter, "Memory: must be at most")
	l.bad(t, "cis:InquiryPriceCreateCis", `{"Zone":"local-1","Cpu":1}`, cloud.MissingParameter, "Memory")
}
