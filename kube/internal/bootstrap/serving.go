package bootstrap

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Nobody in Kubernetes approves the certificates that kubelets serve with, because
// nobody there knows which addresses a node has. Here the node says so itself: with a
// certificate of its own name, and in a status that only it may write.

const (
	// servingResync is when a request that could not be approved is looked at again: the
	// node's status may come after it.
	servingResync = 20 * time.Second
	// servingPatience is how old a request may become; a node then makes another.
	servingPatience = 10 * time.Minute
)

// nodeUser is the prefix of nodes' user names.
const nodeUser = "system:node:"

// approveServing approves requests until ctx ends.
func approveServing(ctx context.Context, client kubernetes.Interface, failed func(error)) {
	factory := informers.NewSharedInformerFactoryWithOptions(client, servingResync, informers.WithTweakListOptions(func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.signerName", certificatesv1.KubeletServingSignerName).String()
	}))
	look := func(object any) {
		if err := approve(ctx, client, object.(*certificatesv1.CertificateSigningRequest)); err != nil && ctx.Err() == nil {
			failed(err)
		}
	}
	// The handler can only be refused by an informer that was stopped.
	_, _ = factory.Certificates().V1().CertificateSigningRequests().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc:    look,
		UpdateFunc: func(_, object any) { look(object) },
	})
	factory.Start(ctx.Done())
	<-ctx.Done()
	factory.Shutdown()
}

func approve(ctx context.Context, client kubernetes.Interface, request *certificatesv1.CertificateSigningRequest) error {
	if len(request.Status.Conditions) > 0 || time.Since(request.CreationTimestamp.Time) > servingPatience {
		return nil
	}
	name, ours := strings.CutPrefix(request.Spec.Username, nodeUser)
	if !ours {
		return nil
	}
	node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("request %s: %w", request.Name, err)
	}
	if err := servingFault(&request.Spec, node); err != nil {
		return fmt.Errorf("request %s of node %s is not approved: %w", request.Name, name, err)
	}
	request = request.DeepCopy()
	request.Status.Conditions = append(request.Status.Conditions, certificatesv1.CertificateSigningRequestCondition{
		Type: certificatesv1.CertificateApproved, Status: corev1.ConditionTrue,
		Reason: "NodeAddresses", Message: "names and addresses are those in the node's status",
	})
	_, err = client.CertificatesV1().CertificateSigningRequests().UpdateApproval(ctx, request.Name, request, metav1.UpdateOptions{FieldManager: fieldManager})
	return err
}

// servingFault is what keeps a node from a serving certificate.
func servingFault(spec *certificatesv1.CertificateSigningRequestSpec, node *corev1.Node) error {
	block, _ := pem.Decode(spec.Request)
	if block == nil {
		return errors.New("it holds no PEM block")
	}
	wanted, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	switch {
	case spec.Username != nodeUser+node.Name || !slices.Contains(spec.Groups, "system:nodes"):
		return errors.New("it does not come from the node")
	case wanted.Subject.CommonName != spec.Username || !slices.Equal(wanted.Subject.Organization, []string{"system:nodes"}):
		return fmt.Errorf("its subject is %s", wanted.Subject)
	case !slices.Contains(spec.Usages, certificatesv1.UsageServerAuth) || slices.Contains(spec.Usages, certificatesv1.UsageClientAuth):
		return errors.New("it is not for a server alone")
	case len(wanted.EmailAddresses)+len(wanted.URIs) > 0:
		return errors.New("it is for mail addresses or URIs")
	case len(wanted.DNSNames)+len(wanted.IPAddresses) == 0:
		return errors.New("it is for no name or address")
	}
	var names []string
	for _, ip := range wanted.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range append(names, wanted.DNSNames...) {
		if !slices.ContainsFunc(node.Status.Addresses, func(a corev1.NodeAddress) bool { return a.Address == name }) {
			return fmt.Errorf("%s is not in the node's status", name)
		}
	}
	return nil
}
