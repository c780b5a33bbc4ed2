package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestPrices(t *testing.T) {
	if p, err := loadPrices(""); p != nil || err != nil {
		t.Errorf("%v, %v", p, err)
	}
	file := filepath.Join(t.TempDir(), "prices.yaml")
	for _, tt := range []struct{ text, says string }{
		{"currency: EUR\nvcpuHour: 0.1\n", ""},
		{"currency: EUR\nvcpuHour: dear\n", "vcpuHour: must be a plain decimal number"},
	} {
		if err := os.WriteFile(file, []byte(tt.text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := loadPrices(file)
		if tt.says == "" && err != nil || tt.says != "" && (err == nil || !strings.Contains(err.Error(), tt.says) || !strings.HasPrefix(err.Error(), "-prices: ")) {
			t.Errorf("%q gives %v", tt.text, err)
		}
	}
	if _, err := loadPrices(file + "x"); err == nil {
		t.Error("a file that is not there was read")
	}
}
