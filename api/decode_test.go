package api_test

import (
	"encoding/json"
	"errors"
	"reflect"
	"strings"
	"testing"

	"cis/api"
)

func TestDecodeJSONAndYAMLAgree(t *testing.T) {
	const asJSON = `{"name":"web","cpu":0.5,"memory":"256Mi","labels":{"app":"web"},
		"containers":[{"image":"nginx","args":["-g","daemon off;"],"env":[{"name":"A","value":"1"}],
		"livenessProbe":{"tcpSocket":{"port":80},"periodSeconds":5}}],"terminationGracePeriodSeconds":0}`
	const asYAML = `
name: web
cpu: 500m
memory: 268435456
labels: {app: web}
hostname:            # null is the same as nothing
containers:
- image: nginx
  args: [-g, daemon off;]
  env:
  - name: A
    value: "1"
  livenessProbe:
    tcpSocket: {port: 80}
    periodSeconds: 5
terminationGracePeriodSeconds: 0
`
	var a, b api.InstanceSpec
	if err := api.Decode([]byte(asJSON), &a); err != nil {
		t.Fatal(err)
	}
	if err := api.Decode([]byte(asYAML), &b); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(a, b) {
		t.Errorf("JSON gives %+v\nYAML gives %+v", a, b)
	}
	if a.CPU != 500 || a.Containers[0].LivenessProbe.TCPSocket.Port != 80 || *a.TerminationGracePeriodSeconds != 0 {
		t.Errorf("got %+v", a)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := []struct{ name, text, field, says string }{
		{"empty", "  \n", "", "empty"},
		{"scalar", "hello", "", "must be an object"},
		{"list", "- a", "", "must be an object, not a list"},
		{"syntax", "{\n  \"name\": }", "", "line 2, column 11"},
		{"trailing", `{"name":"a"} {}`, "", "after top-level value"},
		{"two documents", "name: a\n---\nname: b", "", "more than one document"},
		{"bad YAML", "name: [", "", "not valid YAML"},
		{"YAML duplicate", "name: a\nname: b", "", "already set"},
		{"number as key", "labels: {1: a}", "", "put it in quotes"},
		{"not UTF-8", "{\"name\":\"\xff\"}", "", "UTF-8"},
		{"unknown", `{"nmae":"a"}`, "nmae", `did you mean "name"`},
		{"case", `{"Name":"a"}`, "Name", `did you mean "name"`},
		{"unlike anything", `{"zzzzzzz":1}`, "zzzzzzz", "known here: activeDeadlineSeconds"},
		{"nested unknown", `{"containers":[{},{"ports":[{},{"containerport":80}]}]}`, "containers[1].ports[1].containerport", `did you mean "containerPort"`},
		{"embedded unknown", `{"containers":[{"livenessProbe":{"httpget":{}}}]}`, "containers[0].livenessProbe.httpget", `"httpGet"`},
		{"duplicate", `{"containers":[{"image":"a","image":"b"}]}`, "containers[0].image", "twice"},
		{"duplicate in map", `{"labels":{"a":"1","a":"2"}}`, "labels[a]", "twice"},
		{"number for string", "containers:\n- image: 1.27", "containers[0].image", "must be a string, not a number (put 1.27 in quotes)"},
		{"bool for string", "containers:\n- env: [{name: A, value: yes}]", "containers[0].env[0].value", "put true in quotes"},
		{"string for number", `{"terminationGracePeriodSeconds":"10"}`, "terminationGracePeriodSeconds", "whole number"},
		{"fraction", `{"containers":[{"ports":[{"containerPort":80.5}]}]}`, "containers[0].ports[0].containerPort", "whole number"},
		{"overflow", `{"ttlSecondsAfterFinished":99999999999999999999}`, "ttlSecondsAfterFinished", "64 bits"},
		{"string for bool", `{"containers":[{"tty":"true"}]}`, "containers[0].tty", "true or false"},
		{"string for list", `{"containers":[{"command":"sh -c x"}]}`, "containers[0].command", "must be a list, not a string"},
		{"list for object", `{"containers":[[]]}`, "containers[0]", "must be an object, not a list"},
		{"bad cpu", `{"cpu":"lots"}`, "cpu", "amount of cpu"},
		{"negative cpu", `{"cpu":-1}`, "cpu", "amount of cpu"},
		{"bad memory", `{"memory":"256MB"}`, "memory", "amount of bytes"},
		{"object for memory", `{"memory":{}}`, "memory", "amount of bytes"},
		{"not a number", "cpu: .nan", "", "not valid YAML"},
		{"too long", `{"name":"` + strings.Repeat("a", api.MaxRequest) + `"}`, "", "at most 2097152"},
		{"alias bomb", aliasBomb(), "", "not valid YAML"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var req api.CreateInstance
			err := api.Decode([]byte(tt.text), &req)
			var e *api.Error
			if !errors.As(err, &e) {
				t.Fatalf("got %v, want an *api.Error", err)
			}
			if e.Code != api.Invalid || e.Field != tt.field || !strings.Contains(e.Error(), tt.says) {
				t.Errorf("got %s, field %q: %s\nwant field %q and %q", e.Code, e.Field, e, tt.field, tt.says)
			}
		})
	}
}

func aliasBomb() string {
	var b strings.Builder
	b.WriteString("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n")
	for i := range 9 {
		d := string(rune('0' + i))
		b.WriteString("a" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+d+",", 10) + "]\n")
	}
	return b.String()
}

func TestDecodeSecretData(t *testing.T) {
	var s api.Secret
	if err := api.Decode([]byte(`{"name":"a","data":{"k":"aGk="}}`), &s); err != nil || string(s.Data["k"]) != "hi" {
		t.Errorf("got %+v, %v", s, err)
	}
	err := api.Decode([]byte(`{"name":"a","data":{"k":"!"}}`), &s)
	if e, ok := errors.AsType[*api.Error](err); !ok || e.Field != "data[k]" {
		t.Errorf("got %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(`{"name":"a","containers":[{"image":"b","livenessProbe":{"exec":{"command":["x"]}}}]}`)
	f.Add("name: a\ncontainers:\n- image: b\n  env: [{name: a, value: b}]\n")
	f.Add("a: &a [*a]\n<<: {b: c}\n---\n")
	f.Add(aliasBomb())
	f.Fuzz(func(t *testing.T, text string) {
		var req api.CreateInstance
		err := api.Decode([]byte(text), &req)
		if err != nil {
			if api.CodeOf(err) != api.Invalid {
				t.Fatalf("%q gives %v", text, err)
			}
			return
		}
		// Whatever was taken in survives defaults, checks and a round trip.
		req.Default(api.Defaults{})
		if err := req.Validate(api.Defaults{}); err != nil && api.CodeOf(err) != api.Invalid {
			t.Fatal(err)
		}
		out, err := json.Marshal(req)
		if err != nil {
			t.Fatalf("%q cannot be written again: %v", text, err)
		}
		var again api.CreateInstance
		if err := api.Decode(out, &again); err != nil && len(out) <= api.MaxRequest {
			t.Fatalf("%q comes back as %s, which is refused: %v", text, out, err)
		}
	})
}
