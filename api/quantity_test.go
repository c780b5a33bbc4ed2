package api_test

import (
	"testing"

	"cis/api"
)

func TestQuantities(t *testing.T) {
	cpus := map[string]api.CPU{"0.5": 500, "2": 2000, "500m": 500, "0.05": 50, "1.5": 1500, "0": 0}
	for text, want := range cpus {
		if got, err := api.ParseCPU(text); err != nil || got != want {
			t.Errorf("ParseCPU(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	sizes := map[string]api.Bytes{"256Mi": 256 << 20, "1G": 1e9, "0.5Ki": 512, "7": 7, "1Ti": 1 << 40}
	for text, want := range sizes {
		if got, err := api.ParseBytes(text); err != nil || got != want {
			t.Errorf("ParseBytes(%q) = %d, %v; want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1e3", "0x1", "1_0", ".", "1.1.1", "0.0001", "9999999999", "NaN", "m"} {
		if got, err := api.ParseCPU(text); err == nil {
			t.Errorf("ParseCPU(%q) = %d, want an error", text, got)
		}
	}
	for _, text := range []string{"", "-1", "1KB", "1e3", "0.3", "9Ei", "99999999Ti", "Mi"} {
		if got, err := api.ParseBytes(text); err == nil {
			t.Errorf("ParseBytes(%q) = %d, want an error", text, got)
		}
	}
}

func FuzzParseCPU(f *testing.F) {
	for _, s := range []string{"0.5", "500m", "2", ".", "1e9", "1000000", "0.001", "00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := api.ParseCPU(text)
		if err != nil {
			return
		}
		if again, err := api.ParseCPU(c.String()); c < 0 || err != nil || again != c {
			t.Fatalf("%q is %d, which reads back as %d, %v", text, c, again, err)
		}
	})
}

func FuzzParseBytes(f *testing.F) {
	for _, s := range []string{"256Mi", "1G", "0.5Ki", "7", "8388607Ti", "9223372036854775807", "."} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		b, err := api.ParseBytes(text)
		if err != nil {
			return
		}
		if again, err := api.ParseBytes(b.String()); b < 0 || err != nil || again != b {
			t.Fatalf("%q is %d, which reads back as %d, %v", text, b, again, err)
		}
	})
}
