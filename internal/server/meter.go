package server

import (
	"net/http"
	"time"

	"cis/api"
)

func meterRoutes() []Route {
	const tag = "usage"
	return []Route{
		{Method: "GET", Path: "/v1/usage", Name: "usage", Tag: tag,
			Summary: "Tell what instances have used and what it costs",
			Query: []Param{momentParam("from", "the beginning; that of the month in UTC by default"), momentParam("to", "the end, which is not included; now by default"),
				choiceParam("by", "what is added up by; instance by default", string(api.UsageByInstance), string(api.UsageByLabel), string(api.UsageByDay), string(api.UsageByAccount)),
				stringParam("label", "with by=label: the key of the label"),
				stringParam("instance", "only of this instance; by its whole ID it may be one that was removed")},
			Replies: gives("the usage", api.Usage{}), handle: (*Server).usage},
		{Method: "GET", Path: "/v1/price", Name: "price", Tag: tag,
			Summary: "Tell what an instance costs",
			Query: []Param{cpuParam("cpu", "its processors, such as 0.5; those of the default size by default"),
				bytesParam("memory", "its memory, such as 256Mi; that of the default size by default"),
				bytesParam("ephemeralStorage", "its ephemeral storage, such as 1Gi; 10Gi by default"),
				choiceParam("isolation", "auto by default", string(api.IsolationAuto), string(api.IsolationVM), string(api.IsolationGVisor))},
			Replies: gives("the price", api.Price{}), handle: (*Server).price},
	}
}

func (s *Server) usage(w http.ResponseWriter, r *request) error {
	opts := api.UsageOptions{
		From: arg[time.Time](r.query, "from"), To: arg[time.Time](r.query, "to"), By: api.UsageBy(arg[string](r.query, "by")),
		Label: arg[string](r.query, "label"), Instance: arg[string](r.query, "instance"),
	}
	opts.Default(time.Now().UTC())
	if err := opts.Validate(); err != nil {
		return err
	}
	usage, err := s.Engine.Usage(r.Context(), opts)
	return answer(w, usage, err)
}

func (s *Server) price(w http.ResponseWriter, r *request) error {
	// The size of an instance with these, and all that is wrong with it.
	spec := api.CreateInstance{InstanceSpec: api.InstanceSpec{
		CPU: arg[api.CPU](r.query, "cpu"), Memory: arg[api.Bytes](r.query, "memory"),
		EphemeralStorage: arg[api.Bytes](r.query, "ephemeralStorage"), Isolation: api.Isolation(arg[string](r.query, "isolation")),
		Containers: []api.Container{{Image: "any"}},
	}}
	spec.Default(s.Defaults)
	if err := spec.Validate(s.Defaults); err != nil {
		return err
	}
	price, err := s.Engine.Price(r.Context(), api.PriceOptions{CPU: spec.CPU, Memory: spec.Memory,
		EphemeralStorage: spec.EphemeralStorage, Isolation: spec.Isolation})
	return answer(w, price, err)
}
