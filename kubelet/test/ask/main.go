// Command ask is a program of a pod that asks the API server for the names of the pods in
// its namespace, as client libraries do: by what is in its environment and its service
// account, or at the host and port in its argument.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"
)

const account = "/var/run/secrets/kubernetes.io/serviceaccount/"

func main() {
	server := net.JoinHostPort(os.Getenv("KUBERNETES_SERVICE_HOST"), os.Getenv("KUBERNETES_SERVICE_PORT"))
	if len(os.Args) > 1 {
		server = os.Args[1]
	}
	if err := ask(server); err != nil {
		fmt.Fprintln(os.Stderr, "ask:", err)
		os.Exit(1)
	}
}

func ask(server string) error {
	var files [3]string
	for i, name := range []string{"token", "namespace", "ca.crt"} {
		data, err := os.ReadFile(account + name)
		if err != nil {
			return err
		}
		files[i] = string(data)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(files[2]))
	req, err := http.NewRequest(http.MethodGet, "https://"+server+"/api/v1/namespaces/"+files[1]+"/pods", nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+files[0])
	client := http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the API server says %s", resp.Status)
	}
	var list struct {
		Items []struct{ Metadata struct{ Name string } }
	}
	if err := json.NewDecoder(resp.Body).Decode(&list); err != nil {
		return err
	}
	for _, pod := range list.Items {
		fmt.Println(pod.Metadata.Name)
	}
	return nil
}
