package translate

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// honoured lists, by type, the fields that are read by this package, or that are
// others' business: the scheduler's, the API server's. A field that is set and not
// listed is refused, and so is one of a later Kubernetes.
var honoured = map[reflect.Type]string{
	reflect.TypeFor[corev1.PodSpec](): `volumes initContainers containers ephemeralContainers restartPolicy terminationGracePeriodSeconds
		activeDeadlineSeconds dnsPolicy nodeSelector serviceAccountName serviceAccount automountServiceAccountToken nodeName
		hostNetwork hostPID hostIPC shareProcessNamespace securityContext imagePullSecrets hostname hostnameOverride subdomain setHostnameAsFQDN affinity schedulerName tolerations
		hostAliases priorityClassName priority dnsConfig readinessGates runtimeClassName enableServiceLinks preemptionPolicy overhead
		topologySpreadConstraints os hostUsers schedulingGates resources schedulingGroup`,
	reflect.TypeFor[corev1.Container](): `name image command args workingDir ports envFrom env resources volumeMounts livenessProbe readinessProbe
		startupProbe lifecycle terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty restartPolicy restartPolicyRules resizePolicy`,
	reflect.TypeFor[corev1.EphemeralContainer](): `name image command args workingDir envFrom env volumeMounts terminationMessagePath
		terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty targetContainerName`,
	reflect.TypeFor[corev1.ContainerRestartRule]():            "action exitCodes",
	reflect.TypeFor[corev1.ContainerRestartRuleOnExitCodes](): "operator values",
	reflect.TypeFor[corev1.ContainerPort]():                   "name hostPort containerPort protocol hostIP",
	reflect.TypeFor[corev1.VolumeMount]():                     "name readOnly mountPath subPath subPathExpr recursiveReadOnly mountPropagation",
	reflect.TypeFor[corev1.ResourceRequirements]():            "limits requests",

	reflect.TypeFor[corev1.EnvVar]():             "name value valueFrom",
	reflect.TypeFor[corev1.EnvVarSource]():       "fieldRef resourceFieldRef configMapKeyRef secretKeyRef",
	reflect.TypeFor[corev1.EnvFromSource]():      "prefix configMapRef secretRef",
	reflect.TypeFor[corev1.Lifecycle]():          "postStart preStop stopSignal",
	reflect.TypeFor[corev1.LifecycleHandler]():   "exec httpGet tcpSocket sleep",
	reflect.TypeFor[corev1.Probe]():              "exec httpGet tcpSocket grpc initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold terminationGracePeriodSeconds",
	reflect.TypeFor[corev1.HTTPGetAction]():      "path port host scheme httpHeaders",
	reflect.TypeFor[corev1.TCPSocketAction]():    "port host",
	reflect.TypeFor[corev1.GRPCAction]():         "port service",
	reflect.TypeFor[corev1.SleepAction]():        "seconds",
	reflect.TypeFor[corev1.PodSecurityContext](): "runAsUser runAsGroup runAsNonRoot seccompProfile appArmorProfile seLinuxOptions supplementalGroups supplementalGroupsPolicy fsGroup fsGroupChangePolicy sysctls",
	reflect.TypeFor[corev1.SecurityContext](): `capabilities privileged runAsUser runAsGroup runAsNonRoot readOnlyRootFilesystem procMount
		allowPrivilegeEscalation seccompProfile appArmorProfile seLinuxOptions`,

	reflect.TypeFor[corev1.Volume]():                        "name emptyDir secret configMap downwardAPI projected persistentVolumeClaim ephemeral nfs",
	reflect.TypeFor[corev1.NFSVolumeSource]():               "server path readOnly",
	reflect.TypeFor[corev1.EmptyDirVolumeSource]():          "medium sizeLimit",
	reflect.TypeFor[corev1.SecretVolumeSource]():            "secretName items defaultMode optional",
	reflect.TypeFor[corev1.ConfigMapVolumeSource]():         "name items defaultMode optional",
	reflect.TypeFor[corev1.DownwardAPIVolumeSource]():       "items defaultMode",
	reflect.TypeFor[corev1.ProjectedVolumeSource]():         "sources defaultMode",
	reflect.TypeFor[corev1.VolumeProjection]():              "secret configMap downwardAPI serviceAccountToken",
	reflect.TypeFor[corev1.SecretProjection]():              "name items optional",
	reflect.TypeFor[corev1.ConfigMapProjection]():           "name items optional",
	reflect.TypeFor[corev1.DownwardAPIProjection]():         "items",
	reflect.TypeFor[corev1.ServiceAccountTokenProjection](): "audience expirationSeconds path",
}

// reasons say more than that a field is not supported.
var reasons = map[string]string{
	"hostPath":       "an instance has no part in the host's files",
	"resourceClaims": "an instance has no devices",
	"volumeDevices":  "an instance has no block devices",
}

// unknown refuses every field that is set and not honoured. Ephemeral containers are looked
// at when they are added: they are no reason to refuse the pod.
func (p *problems) unknown(pod *corev1.Pod) {
	spec := pod.Spec
	spec.EphemeralContainers = nil
	p.walk("spec", reflect.ValueOf(spec))
}

func (p *problems) walk(path string, v reflect.Value) {
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			p.walk(path, v.Elem())
		}
	case reflect.Slice:
		for i := range v.Len() {
			p.walk(fmt.Sprintf("%s[%d]", path, i), v.Index(i))
		}
	case reflect.Struct:
		if known, ok := honoured[v.Type()]; ok {
			p.members(path, v, strings.Fields(known))
		}
	}
}

// members checks those of embedded structs as the struct's own.
func (p *problems) members(path string, v reflect.Value, known []string) {
	for _, f := range reflect.VisibleFields(v.Type()) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous || name == "" {
			continue
		}
		member, at := v.FieldByIndex(f.Index), path+"."+name
		if slices.Contains(known, name) {
			p.walk(at, member)
			continue
		}
		if set(member) {
			why := reasons[name]
			if why == "" {
				why = "is not supported"
			}
			p.refuse(at, "%s", why)
		}
	}
}

// set tells whether a field asks for anything: an empty list does not.
func set(v reflect.Value) bool {
	switch v.Kind() {
	case reflect.Slice, reflect.Map:
		return v.Len() > 0
	}
	return !v.IsZero()
}
