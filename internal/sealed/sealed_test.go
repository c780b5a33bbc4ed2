package sealed

import (
	"fmt"
	"os"
	"testing"
)

func TestSeal(t *testing.T) {
	f, err := New("test")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("data"); err != nil {
		t.Fatal(err)
	}
	if err := Seal(f); err != nil {
		t.Fatal(err)
	}
	again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	for _, file := range []*os.File{f, again} {
		if _, err := file.WriteAt([]byte("x"), 0); err == nil {
			t.Error("written to")
		}
		if file.Truncate(0) == nil {
			t.Error("cut")
		}
	}
	if data, err := os.ReadFile(again.Name()); err != nil || string(data) != "data" {
		t.Errorf("%q %v", data, err)
	}
}
