package gvisor

import (
	"testing"

	"cis/api"
)

func TestBootCPU(t *testing.T) {
	for limit, want := range map[api.CPU]api.CPU{50: 2000, 1000: 2000, 2000: 2000, 2050: 3000, 4000: 4000, 7999: 8000} {
		if got := bootCPU(limit); got != want {
			t.Errorf("%d: %d, want %d", limit, got, want)
		}
	}
}

func TestNewRefuses(t *testing.T) {
	for _, dir := range []string{"relative", "/a/directory/whose/name/is/longer/than/a/socket/path/allows"} {
		if _, err := New(Config{Dir: dir}); err == nil {
			t.Errorf("%s was accepted", dir)
		}
	}
}
