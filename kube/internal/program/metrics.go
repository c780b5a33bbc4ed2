package program

import (
	"fmt"

	"github.com/spf13/cobra"
	openapinamer "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/component-base/version"
	openapi "k8s.io/kubernetes/pkg/generated/openapi"
	"sigs.k8s.io/metrics-server/cmd/metrics-server/app/options"
	"sigs.k8s.io/metrics-server/pkg/api"
	"sigs.k8s.io/metrics-server/pkg/server"
)

// metricsServer is metrics-server's own command but for the models of its API: it comes
// with those of an older version of Kubernetes' libraries, which name them otherwise.
func metricsServer() *cobra.Command {
	o := options.NewOptions()
	cmd := &cobra.Command{
		Use:   "metrics-server",
		Short: "Serve what nodes and pods use, as the API metrics.k8s.io",
		RunE: func(*cobra.Command, []string) error {
			if faults := o.Validate(); len(faults) > 0 {
				return faults[0]
			}
			config, err := o.ServerConfig()
			if err != nil {
				return fmt.Errorf("configure metrics-server: %w", err)
			}
			return serveMetrics(config)
		},
	}
	for _, set := range o.Flags().FlagSets {
		cmd.Flags().AddFlagSet(set)
	}
	return cmd
}

func serveMetrics(config *server.Config) error {
	namer := openapinamer.NewDefinitionNamer(api.Scheme)
	v2 := genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	v3 := genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	v2.Info.Title, v2.Info.Version = "metrics-server", version.Get().GitVersion
	v3.Info.Title, v3.Info.Version = v2.Info.Title, v2.Info.Version
	config.Apiserver.OpenAPIConfig, config.Apiserver.OpenAPIV3Config = v2, v3
	s, err := config.Complete()
	if err != nil {
		return fmt.Errorf("set metrics-server up: %w", err)
	}
	return s.RunUntil(genericapiserver.SetupSignalHandler())
}
