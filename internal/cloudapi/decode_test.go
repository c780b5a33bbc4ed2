package cloudapi

import (
	"encoding/json"
	"errors"
	"net/url"
	"reflect"
	"strings"
	"testing"

	"cis/internal/cloudapi/cis"
	"cis/internal/cloudapi/cloud"
	"cis/internal/cloudapi/eksci"
	"cis/internal/cloudapi/vpc"
)

// params reads JSON, or a form if it is none.
func params(s string) (*node, error) {
	if strings.HasPrefix(s, "{") || s == "" {
		return parseJSON([]byte(s))
	}
	f, err := parseForm(s)
	if err != nil {
		return nil, err
	}
	return f.tree()
}

func TestJSONAndFormAgree(t *testing.T) {
	const asJSON = `{"Zone":"z","VpcId":"v","SubnetId":"s","InstanceName":"n","RestartPolicy":"Never","Containers":[
		{"Name":"a","Image":"i","Cpu":0.25,"Memory":1,"Args":["x","y"],"Command":null,"EnvironmentVars":[{"Name":"A","Value":""}]},
		{"Name":"b","Image":"i","Cpu":1,"Memory":0.5,"Command":"sh","RestartCount":0}]}`
	const asForm = "Zone=z&VpcId=v&SubnetId=s&InstanceName=n&RestartPolicy=Never&Containers.0.Name=a&Containers.0.Image=i&Containers.0.Cpu=0.25" +
		"&Containers.0.Memory=1&Containers.0.Args.0=x&Containers.0.Args.1=y&Containers.0.EnvironmentVars.0.Name=A&Containers.0.EnvironmentVars.0.Value=" +
		"&Containers.1.Name=b&Containers.1.Image=i&Containers.1.Cpu=1&Containers.1.Memory=0.5&Containers.1.Command=sh&Containers.1.RestartCount=0"
	var got [2]cis.CreateContainerInstanceRequest
	for i, s := range []string{asJSON, asForm} {
		root, err := params(s)
		if err == nil {
			err = decode(root, &got[i])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		a, _ := json.Marshal(got[0])
		b, _ := json.Marshal(got[1])
		t.Errorf("JSON gives %s\na form gives %s", a, b)
	}
	if c := got[0].Containers; len(c) != 2 || c[0].Cpu != 0.25 || *c[1].Command != "sh" || c[0].Command != nil {
		t.Errorf("%+v", c)
	}
}

func TestDecodeRefuses(t *testing.T) {
	const container = `"Name":"a","Image":"i","Cpu":1,"Memory":1`
	in := func(more string) string {
		return `{"Zone":"z","VpcId":"v","SubnetId":"s","InstanceName":"n","RestartPolicy":"Never","Containers":[{` + container + more + `}]}`
	}
	for _, tt := range []struct {
		request any
		params  string
		code    cloud.Code
		says    string
	}{
		{&cis.CreateContainerInstanceRequest{}, `{`, cloud.InvalidParameter, "not valid JSON"},
		{&cis.CreateContainerInstanceRequest{}, `{} {}`, cloud.InvalidParameter, "not valid JSON"},
		{&cis.CreateContainerInstanceRequest{}, "{\"Zone\":\"\xff\"}", cloud.InvalidParameter, "UTF-8"},
		{&cis.CreateContainerInstanceRequest{}, ``, cloud.MissingParameter, "Zone: "},
		{&cis.CreateContainerInstanceRequest{}, `{"Zone":null}`, cloud.MissingParameter, "Zone: "},
		{&cis.CreateContainerInstanceRequest{}, `{"Zone":"z","Zone":"z"}`, cloud.InvalidParameter, "Zone: is given twice"},
		{&cis.CreateContainerInstanceRequest{}, `{"zone":"z"}`, cloud.UnknownParameter, "zone: there is no such parameter; did you mean Zone?"},
		{&cis.CreateContainerInstanceRequest{}, in(`,"Foo":1`), cloud.UnknownParameter, "Containers.0.Foo: "},
		{&cis.CreateContainerInstanceRequest{}, in(`,"ContainerId":"x"`), cloud.UnsupportedOperation, "Containers.0.ContainerId: is shown"},
		{&cis.CreateContainerInstanceRequest{}, in(`,"Args":"x"`), cloud.InvalidParameter, "Containers.0.Args: must be a list, not a string"},
		{&cis.CreateContainerInstanceRequest{}, in(`,"Args":[null]`), cloud.InvalidParameter, "Containers.0.Args.0: must be a value"},
		{&cis.CreateContainerInstanceRequest{}, in(`,"Args":[1]`), cloud.InvalidParameter, `Containers.0.Args.0: must be a string, not "1"`},
		{&cis.CreateContainerInstanceRequest{}, in(`,"Command":["sh"]`), cloud.InvalidParameter, "Containers.0.Command: must be a string, not a list"},
		{&cis.CreateContainerInstanceRequest{}, in(`,"EnvironmentVars":[{"Name":"A"}]`), cloud.MissingParameter, "Containers.0.EnvironmentVars.0.Value: "},
		{&cis.CreateContainerInstanceRequest{}, strings.Replace(in(``), `"Cpu":1`, `"Cpu":"1"`, 1), cloud.InvalidParameter, "Containers.0.Cpu: must be a number"},
		{&cis.CreateContainerInstanceRequest{}, strings.Replace(in(``), `"Cpu":1`, `"Cpu":1e999`, 1), cloud.InvalidParameter, "Containers.0.Cpu: must be a number"},
		{&cis.CreateContainerInstanceRequest{}, `{"Containers":{}}`, cloud.InvalidParameter, "Containers: must be a list"},
		{&cis.CreateContainerInstanceRequest{}, `{"Containers":[[]]}`, cloud.InvalidParameter, "Containers.0: must be an object"},
		{&cis.CreateContainerInstanceRequest{}, "Containers.1.Name=a", cloud.InvalidParameter, "Containers: is a list"},
		{&cis.CreateContainerInstanceRequest{}, "Containers.00.Name=a", cloud.InvalidParameter, "Containers: is a list"},
		{&cis.CreateContainerInstanceRequest{}, "Containers=a&Containers.0.Name=b", cloud.InvalidParameter, "Containers.0.Name: is given as a value"},
		{&cis.CreateContainerInstanceRequest{}, "Zone.0=a", cloud.InvalidParameter, "Zone: must be a string, not an object"},
		{&cis.CreateContainerInstanceRequest{}, "Zone=a&Zone=b", cloud.InvalidParameter, "Zone: is given twice"},
		{&cis.CreateContainerInstanceRequest{}, "Zone=%zz", cloud.InvalidRequest, "form"},
		{&cis.CreateContainerInstanceRequest{}, "Zone=%ff", cloud.InvalidParameter, "UTF-8"},
		{&cis.DescribeContainerInstancesRequest{}, `{"Limit":-1}`, cloud.InvalidParameter, "Limit: must be a whole number that is not negative"},
		{&cis.DescribeContainerInstancesRequest{}, `{"Limit":1.5}`, cloud.InvalidParameter, "Limit: "},
		{&cis.DescribeContainerInstancesRequest{}, `{"Limit":"1"}`, cloud.InvalidParameter, "Limit: "},
		{&eksci.DescribeEKSContainerInstanceRegionsRequest{}, `{"A":1}`, cloud.UnknownParameter, "A: "},
		{&eksci.DeleteEKSContainerInstancesRequest{}, `{"EksCiIds":["a"],"ReleaseAutoCreatedEip":1}`, cloud.InvalidParameter, "ReleaseAutoCreatedEip: must be true or false"},
		{&eksci.DeleteEKSContainerInstancesRequest{}, "EksCiIds.0=a&ReleaseAutoCreatedEip=1", cloud.InvalidParameter, "ReleaseAutoCreatedEip: "},
		{&vpc.CreateVpcRequest{}, `{"VpcName":"a","CidrBlock":"b","EnableMulticast":"true"}`, cloud.UnsupportedOperation, "EnableMulticast: "},
		{&vpc.AllocateAddressesRequest{}, `{"InternetChargeType":"BANDWIDTH_PACKAGE"}`, cloud.UnsupportedOperation, "InternetChargeType: "},
		{&cis.CreateContainerInstanceRequest{}, "{" + strings.Repeat(`"a":{`, 40) + strings.Repeat("}", 41), cloud.RequestSizeLimitExceeded, "levels"},
		{&cis.CreateContainerInstanceRequest{}, strings.Repeat("a.", 40) + "a=1", cloud.RequestSizeLimitExceeded, "levels"},
		{&cis.CreateContainerInstanceRequest{}, `{"a":[` + strings.Repeat("1,", 2000) + "1]}", cloud.RequestSizeLimitExceeded, "in a list"},
	} {
		root, err := params(tt.params)
		if err == nil {
			err = decode(root, tt.request)
		}
		if e, ok := errors.AsType[*cloud.Error](err); !ok || e.Code != tt.code || !strings.Contains(e.Message, tt.says) {
			t.Errorf("%.80s gives %v\nwant %s and %q", tt.params, err, tt.code, tt.says)
		}
	}
}

func TestDecodeTakes(t *testing.T) {
	for params_, request := range map[string]any{
		`{"VpcName":"a","CidrBlock":"b","EnableMulticast":"FALSE","DnsServers":[]}`:         &vpc.CreateVpcRequest{},
		`{"InternetServiceProvider":"BGP","InternetMaxBandwidthOut":0,"AddressType":"EIP"}`: &vpc.AllocateAddressesRequest{},
		`{"Limit":"20","Offset":0}`:                            &vpc.DescribeVpcsRequest{},
		"Limit=20&Offset=0":                                    &vpc.DescribeVpcsRequest{},
		"EksCiIds.0=a&EksCiIds.1=b&ReleaseAutoCreatedEip=True": &eksci.DeleteEKSContainerInstancesRequest{},
		`{"SecurityGroupId":"sg-a","SecurityGroupPolicySet":{"Version":"7","Ingress":[{"Action":"accept"}]}}`: &vpc.CreateSecurityGroupPoliciesRequest{},
	} {
		root, err := params(params_)
		if err == nil {
			err = decode(root, request)
		}
		if err != nil {
			t.Errorf("%s: %v", params_, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"Containers":[{"Name":"a","Cpu":0.1,"LivenessProbe":{"Probe":{},"Exec":{"Commands":["x"]}}}]}`)
	f.Add("Containers.0.Name=a&Containers.0.Cpu=1&Containers.0.LivenessProbe.Probe.PeriodSeconds=1")
	f.Add(`{"EksCiVolume":{"NfsVolumes":[{"Name":1}]},"AutoCreateEip":true,"Replicas":1e3}`)
	f.Fuzz(func(t *testing.T, s string) {
		for _, request := range []any{&eksci.CreateEKSContainerInstancesRequest{}, &cis.CreateContainerInstanceRequest{}, &vpc.ModifySecurityGroupPoliciesRequest{}} {
			root, err := params(s)
			if err == nil {
				err = decode(root, request)
			}
			if err != nil {
				if _, ok := errors.AsType[*cloud.Error](err); !ok {
					t.Fatalf("%q: %v", s, err)
				}
				continue
			}
			// What was taken in comes back when it is sent again.
			sent, err := json.Marshal(request)
			if err != nil {
				t.Fatalf("%q cannot be written again: %v", s, err)
			}
			if root, err = parseJSON(sent); err != nil {
				t.Fatalf("%q comes back as %s: %v", s, sent, err)
			}
			again := reflect.New(reflect.TypeOf(request).Elem()).Interface()
			if err := decode(root, again); err != nil || string(mustJSON(again)) != string(sent) {
				t.Fatalf("%q comes back as %s: %v", s, sent, err)
			}
		}
	})
}

func mustJSON(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return data
}

func FuzzForm(f *testing.F) {
	f.Add("a.0.b=1&a.1.b=2&c=3")
	f.Add("a=1&a.b=2")
	f.Fuzz(func(t *testing.T, s string) {
		form, err := parseForm(s)
		if err != nil {
			return
		}
		if _, err := form.tree(); err != nil {
			if _, ok := errors.AsType[*cloud.Error](err); !ok {
				t.Fatal(err)
			}
		}
		if _, err := url.ParseQuery(s); err != nil {
			t.Fatalf("%q was taken", s)
		}
	})
}
