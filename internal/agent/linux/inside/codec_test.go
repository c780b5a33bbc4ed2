package inside

import (
	"bytes"
	"reflect"
	"testing"
)

var orders = []Order{
	{Program: Program{Args: []string{"/bin/sh", "", "ü"}, Env: []string{"A=b c", "PATH="}, Dir: "/", Own: true}},
	{
		Container: &Container{ReadOnly: true, Targets: []string{"/b", "/d"}},
		Program: Program{
			Args: []string{"x"}, Dir: "/tmp", UID: 1<<32 - 1, GID: 7, Groups: []uint32{0, 1 << 31},
			Capabilities: 1<<40 | 1, Filter: []byte{0, 1, 255}, NoNewPrivileges: true,
		},
	},
}

func TestCodec(t *testing.T) {
	for _, want := range orders {
		data := want.encode()
		got, err := decode(data)
		if len(got.Program.Filter) == 0 {
			got.Program.Filter = nil
		}
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%+v, %v, want %+v", got, err, want)
		}
		for n := range data {
			if _, err := decode(data[:n]); err == nil {
				t.Errorf("%d of %d bytes passed", n, len(data))
			}
		}
		if _, err := decode(append(data, 0)); err == nil {
			t.Error("more than an order passed")
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, o := range orders {
		f.Add(o.encode())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		o, err := decode(data)
		if err != nil {
			return
		}
		again, err := decode(o.encode())
		if err != nil || !bytes.Equal(again.encode(), o.encode()) {
			t.Errorf("%+v %v", o, err)
		}
	})
}
