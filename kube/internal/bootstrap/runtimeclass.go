package bootstrap

import (
	"context"
	"errors"

	node "k8s.io/client-go/applyconfigurations/node/v1"
	"k8s.io/client-go/kubernetes"
)

// The kinds of sandboxes that a pod may ask for, as its runtimeClassName; nodes know them
// by the same names.
var runtimeClasses = []string{"cis-gvisor", "cis-vm"}

func applyRuntimeClasses(ctx context.Context, client kubernetes.Interface) error {
	var failed []error
	for _, name := range runtimeClasses {
		_, err := client.NodeV1().RuntimeClasses().Apply(ctx, node.RuntimeClass(name).WithHandler(name), applyOptions)
		failed = append(failed, err)
	}
	return errors.Join(failed...)
}
