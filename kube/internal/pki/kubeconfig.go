package pki

import (
	"bytes"
	"crypto/x509"

	"sigs.k8s.io/yaml"

	"cis/kube/internal/durable"
)

// The parts of a kubeconfig that are needed here; its keys are those of client-go.
type kubeconfig struct {
	APIVersion     string         `json:"apiVersion"`
	Kind           string         `json:"kind"`
	Clusters       []namedCluster `json:"clusters"`
	Users          []namedUser    `json:"users,omitempty"`
	Contexts       []namedContext `json:"contexts"`
	CurrentContext string         `json:"current-context"`
}

type namedCluster struct {
	Name    string  `json:"name"`
	Cluster cluster `json:"cluster"`
}

type cluster struct {
	Server string `json:"server"`
	CA     []byte `json:"certificate-authority-data"`
}

type namedUser struct {
	Name string `json:"name"`
	User user   `json:"user"`
}

type user struct {
	Cert  []byte `json:"client-certificate-data,omitempty"`
	Key   []byte `json:"client-key-data,omitempty"`
	Token string `json:"token,omitempty"`
}

type namedContext struct {
	Name    string      `json:"name"`
	Context contextPair `json:"context"`
}

type contextPair struct {
	Cluster string `json:"cluster"`
	User    string `json:"user"`
}

const clusterName = "cis"

func encodeKubeconfig(server string, ca []byte, name string, u user) ([]byte, error) {
	return yaml.Marshal(kubeconfig{
		APIVersion: "v1", Kind: "Config",
		Clusters:       []namedCluster{{clusterName, cluster{server, ca}}},
		Users:          []namedUser{{name, u}},
		Contexts:       []namedContext{{clusterName, contextPair{clusterName, name}}},
		CurrentContext: clusterName,
	})
}

// TokenKubeconfig is a kubeconfig whose user has a bearer token.
func TokenKubeconfig(server string, ca []byte, name, token string) ([]byte, error) {
	return encodeKubeconfig(server, ca, name, user{Token: token})
}

// ClusterKubeconfig is a kubeconfig without a user: where the cluster is, and its CA.
func ClusterKubeconfig(server string, ca []byte) ([]byte, error) {
	return yaml.Marshal(kubeconfig{
		APIVersion: "v1", Kind: "Config",
		Clusters: []namedCluster{{"", cluster{server, ca}}},
		Contexts: []namedContext{},
	})
}

// ensureKubeconfig sees to a kubeconfig file with a client certificate in it.
func (a *authority) ensureKubeconfig(path, server string, l leaf) (*x509.Certificate, bool, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, false, err
	}
	ca := encodeCert(a.cert)
	var old kubeconfig
	if yaml.Unmarshal(data, &old) == nil && len(old.Clusters) == 1 && len(old.Users) == 1 {
		c, u := old.Clusters[0].Cluster, old.Users[0].User
		cert, ok := a.usable(pair{cert: u.Cert, key: u.Key}, l)
		if ok && c.Server == server && bytes.Equal(c.CA, ca) {
			return cert, false, nil
		}
	}
	p, cert, err := a.pair(l)
	if err != nil {
		return nil, false, err
	}
	if data, err = encodeKubeconfig(server, ca, l.name, user{Cert: p.cert, Key: p.key}); err != nil {
		return nil, false, err
	}
	return cert, true, durable.WriteFile(path, data)
}
