package language

import (
	"testing"

	"k8s.io/kubectl/pkg/util/i18n"
)

const (
	text   = "Delete the specified context from the kubeconfig"
	german = "Lösche den angegebenen Kontext aus der kubeconfig"
)

func TestEnglish(t *testing.T) {
	for locale, want := range map[string]bool{
		"": true, "C": true, "C.UTF-8": true, "POSIX": true, "en_US.UTF-8": true, "en_GB": true, "de_DE.UTF-8": false, "ja_JP.UTF-8": false,
	} {
		if got := english(locale); got != want {
			t.Errorf("%q: %v", locale, got)
		}
	}
}

func TestLoad(t *testing.T) {
	for _, test := range []struct{ locale, want string }{{"en_US.UTF-8", text}, {"de_DE.UTF-8", german}} {
		t.Setenv("LC_ALL", test.locale)
		if err := load(); err != nil {
			t.Fatal(err)
		}
		if got := i18n.T(text); got != test.want {
			t.Errorf("in %s: %q", test.locale, got)
		}
	}
}
