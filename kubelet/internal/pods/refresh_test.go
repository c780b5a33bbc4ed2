package pods

import (
	"fmt"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clienttesting "k8s.io/client-go/testing"
)

// keeps waits until cis has a secret with these values.
func (s *scene) keeps(name string, want map[string]string) {
	s.Helper()
	s.eventually(fmt.Sprintf("secret %s with %v", name, want), func() bool {
		s.cis.mu.Lock()
		defer s.cis.mu.Unlock()
		data := s.cis.secrets[name].Data
		if len(data) != len(want) {
			return false
		}
		for key, value := range want {
			if string(data[key]) != value {
				return false
			}
		}
		return true
	})
}

func volumePod() *corev1.Pod {
	pod := newPod()
	pod.Spec.ServiceAccountName = "default"
	pod.Labels = map[string]string{"l": "1"}
	pod.Spec.Volumes = []corev1.Volume{
		{Name: "c", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: "c"}}}},
		{Name: "p", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{
			{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "token", ExpirationSeconds: new(int64(600))}},
			{DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{{Path: "l", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.labels['l']"}}}}},
			{Secret: &corev1.SecretProjection{LocalObjectReference: corev1.LocalObjectReference{Name: "s"}, Optional: new(true)}},
		}}}},
	}
	return pod
}

func TestFilesFollow(t *testing.T) {
	s := start(t, newCis())
	made := 0
	s.kube.PrependReactor("create", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
		made++
		life := int64(3600)
		if made == 1 {
			life = 1
		}
		return true, &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: &life},
			Status: authenticationv1.TokenRequestStatus{Token: fmt.Sprint("token", made)}}, nil
	})
	settings := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "c", Namespace: "default"}, Data: map[string]string{"k": "1"}}
	if _, err := s.kube.CoreV1().ConfigMaps("default").Create(t.Context(), settings, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.create(volumePod())
	s.eventually("an instance", s.cis.has("create"))
	s.keeps("pod.n1.u-1.c", map[string]string{"k": "1"})
	s.keeps("pod.n1.u-1.p.1", nil)
	s.cis.becomes(runs)

	// The first token is renewed after 0.8 s.
	s.keeps("pod.n1.u-1.p.0", map[string]string{"0": "token2", "1": "1"})

	settings.Data = map[string]string{"k": "2", "j": "3"}
	if _, err := s.kube.CoreV1().ConfigMaps("default").Update(t.Context(), settings, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.keeps("pod.n1.u-1.c", map[string]string{"k": "2", "j": "3"})
	late := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "s", Namespace: "default"}, Data: map[string][]byte{"w": []byte("x")}}
	if _, err := s.kube.CoreV1().Secrets("default").Create(t.Context(), late, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.keeps("pod.n1.u-1.p.1", map[string]string{"w": "x"})

	pod := s.pod()
	pod.Labels["l"], pod.ResourceVersion = "2", "50"
	if _, err := s.kube.CoreV1().Pods("default").Update(t.Context(), pod, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	s.keeps("pod.n1.u-1.p.0", map[string]string{"0": "token2", "1": "2"})

	// Without the config map the files stay, and an event says why.
	if err := s.kube.CoreV1().ConfigMaps("default").Delete(t.Context(), "c", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	s.eventually("an event", func() bool {
		select {
		case e := <-s.events.Events:
			return e != "" && len(e) > 20 && e[:19] == "Warning FailedMount"
		default:
			return false
		}
	})
	s.keeps("pod.n1.u-1.c", map[string]string{"k": "2", "j": "3"})
}

func TestTokenAge(t *testing.T) {
	at := time.Now()
	for life, want := range map[time.Duration]time.Duration{10 * time.Minute: 8 * time.Minute, 365 * 24 * time.Hour: 24 * time.Hour} {
		if got := newToken("", at, life).renew.Sub(at); got != want {
			t.Errorf("one of %s is renewed after %s", life, got)
		}
	}
}
