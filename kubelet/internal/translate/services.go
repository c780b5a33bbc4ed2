package translate

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// serviceEnv are the variables that tell a pod of the services of its namespace, if it
// wants them, and always of the API server.
func serviceEnv(pod *corev1.Pod, services []*corev1.Service) map[string]string {
	env := map[string]string{}
	links := pod.Spec.EnableServiceLinks == nil || *pod.Spec.EnableServiceLinks
	for _, s := range services {
		master := s.Namespace == metaDefault && s.Name == "kubernetes"
		own := links && s.Namespace == pod.Namespace
		if !master && !own || s.Spec.ClusterIP == "" || s.Spec.ClusterIP == corev1.ClusterIPNone || len(s.Spec.Ports) == 0 {
			continue
		}
		addService(env, s)
	}
	return env
}

const metaDefault = "default"

func addService(env map[string]string, s *corev1.Service) {
	name, ip := upper(s.Name), s.Spec.ClusterIP
	env[name+"_SERVICE_HOST"] = ip
	env[name+"_SERVICE_PORT"] = strconv.Itoa(int(s.Spec.Ports[0].Port))
	for i, p := range s.Spec.Ports {
		if p.Name != "" {
			env[name+"_SERVICE_PORT_"+upper(p.Name)] = strconv.Itoa(int(p.Port))
		}
		protocol := strings.ToLower(string(p.Protocol))
		if protocol == "" {
			protocol = "tcp"
		}
		url := protocol + "://" + net.JoinHostPort(ip, strconv.Itoa(int(p.Port)))
		if i == 0 {
			env[name+"_PORT"] = url
		}
		prefix := fmt.Sprintf("%s_PORT_%d_%s", name, p.Port, strings.ToUpper(protocol))
		env[prefix] = url
		env[prefix+"_PROTO"] = protocol
		env[prefix+"_PORT"] = strconv.Itoa(int(p.Port))
		env[prefix+"_ADDR"] = ip
	}
}

func upper(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }
