// Package language keeps kubectl from translating English to English: its catalogue of
// these texts, which are the same as in its source, is else packed and unpacked at each
// start. To be in time, the package has to be initialized before those that look up texts:
// by the order of their paths it is.
package language

import (
	"cmp"
	"os"
	"strings"

	"k8s.io/kubectl/pkg/util/i18n"
)

func init() {
	if err := i18n.SetLoadTranslationsFunc(load); err != nil {
		panic(err)
	}
}

func load() error {
	if english(cmp.Or(os.Getenv("LC_ALL"), os.Getenv("LC_MESSAGES"), os.Getenv("LANG"))) {
		return nil
	}
	return i18n.LoadTranslations("kubectl", nil)
}

// english tells whether a locale, such as de_DE.UTF-8, is one of English, or of none.
func english(locale string) bool {
	name, _, _ := strings.Cut(locale, ".")
	switch name {
	case "", "C", "POSIX":
		return true
	}
	return strings.HasPrefix(name, "en_")
}
