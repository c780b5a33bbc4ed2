package bootstrap

import (
	"context"
	"crypto/rand"
	"math/big"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
)

// The form of a join token: an id that is no secret, and a secret.
const (
	tokenIDLength, tokenSecretLength = 6, 16
	tokenAlphabet                    = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// NewToken makes a token with which nodes can join for a time, at least a second.
func NewToken(ctx context.Context, client kubernetes.Interface, ttl time.Duration) (string, error) {
	id, err := randomText(tokenIDLength)
	if err != nil {
		return "", err
	}
	secret, err := randomText(tokenSecretLength)
	if err != nil {
		return "", err
	}
	_, err = client.CoreV1().Secrets(metav1.NamespaceSystem).Create(ctx, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-" + id},
		Type:       corev1.SecretTypeBootstrapToken,
		StringData: map[string]string{
			"description":                    "lets nodes join; made by cis-kube token",
			"token-id":                       id,
			"token-secret":                   secret,
			"expiration":                     time.Now().Add(ttl).UTC().Format(time.RFC3339),
			"usage-bootstrap-authentication": "true",
			"usage-bootstrap-signing":        "true",
			"auth-extra-groups":              NodeGroup,
		},
	}, metav1.CreateOptions{FieldManager: fieldManager})
	return id + "." + secret, err
}

func randomText(length int) (string, error) {
	text := make([]byte, length)
	for i := range text {
		n, err := rand.Int(rand.Reader, big.NewInt(int64(len(tokenAlphabet))))
		if err != nil {
			return "", err
		}
		text[i] = tokenAlphabet[n.Int64()]
	}
	return string(text), nil
}
