package pods

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"

	"cis-kubelet/internal/translate"
)

// tokens of a pod's service account, by what they were asked for.
type tokens map[translate.TokenRequest]token

type token struct {
	text string
	// renew is when it is time for another.
	renew time.Time
}

// maxTokenAge is how old a token may become, as a kubelet has it
// (k8s.io/kubernetes pkg/kubelet/token).
const maxTokenAge = 24 * time.Hour

// newToken is one that was made at a time for so long: it is renewed after 80 % of that.
func newToken(text string, made time.Time, life time.Duration) token {
	return token{text: text, renew: made.Add(min(life*8/10, maxTokenAge))}
}

// get asks for the tokens that are missing or due.
func (t tokens) get(ctx context.Context, k *Controller, pod *corev1.Pod, needs map[translate.TokenRequest]bool) (map[translate.TokenRequest]string, error) {
	texts := map[translate.TokenRequest]string{}
	for want := range needs {
		have, ok := t[want]
		if !ok || !time.Now().Before(have.renew) {
			made, err := k.token(ctx, pod, want)
			if err != nil {
				return nil, err
			}
			have = made
			t[want] = made
		}
		texts[want] = have.text
	}
	return texts, nil
}

// due is when the first of them is to be renewed; zero for never.
func (t tokens) due() (at time.Time) {
	for _, one := range t {
		if at.IsZero() || one.renew.Before(at) {
			at = one.renew
		}
	}
	return at
}
