package server

import (
	"context"
	"net/http"

	"cis/api"
)

// body is a request that checks itself.
type body interface{ Validate() error }

// take reads the body of a request, with its defaults, and checks it.
func (r *request) take(w http.ResponseWriter, b body) error {
	if err := r.decode(w, b); err != nil {
		return err
	}
	if d, ok := b.(interface{ Default() }); ok {
		d.Default()
	}
	return b.Validate()
}

// create answers a request that makes something, which ref names.
func create[T any](w http.ResponseWriter, r *request, make func(context.Context, T) (T, error), ref func(T) string) error {
	var asked T
	if err := r.take(w, any(&asked).(body)); err != nil {
		return err
	}
	got, err := make(r.Context(), asked)
	if err != nil {
		return err
	}
	w.Header().Set("Location", r.URL.Path+"/"+ref(got))
	return writeJSON(w, http.StatusCreated, got)
}

// update answers a request that changes something.
func update[U, T any](w http.ResponseWriter, r *request, change func(context.Context, string, U) (T, error)) error {
	var asked U
	if err := r.take(w, any(&asked).(body)); err != nil {
		return err
	}
	got, err := change(r.Context(), r.ref(), asked)
	return answer(w, got, err)
}

func (s *Server) listVPCs(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.VPCs(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createVPC(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateVPC, func(v api.VPC) string { return v.ID })
}

func (s *Server) getVPC(w http.ResponseWriter, r *request) error {
	v, err := s.Engine.VPC(r.Context(), r.ref())
	return answer(w, v, err)
}

func (s *Server) updateVPC(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateVPC)
}

func (s *Server) removeVPC(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveVPC(r.Context(), r.ref()))
}

func (s *Server) listFlows(w http.ResponseWriter, r *request) error {
	flows, err := s.Engine.Flows(r.Context(), r.ref())
	return answerList(w, flows, err)
}

func (s *Server) checkNetwork(w http.ResponseWriter, r *request) error {
	var check api.NetworkCheck
	if err := r.take(w, &check); err != nil {
		return err
	}
	verdict, err := s.Engine.CheckNetwork(r.Context(), check)
	return answer(w, verdict, err)
}

func (s *Server) listSubnets(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Subnets(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createSubnet(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateSubnet, func(s api.Subnet) string { return s.ID })
}

func (s *Server) getSubnet(w http.ResponseWriter, r *request) error {
	one, err := s.Engine.Subnet(r.Context(), r.ref())
	return answer(w, one, err)
}

func (s *Server) removeSubnet(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveSubnet(r.Context(), r.ref()))
}

func (s *Server) listGroups(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.SecurityGroups(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createGroup(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateSecurityGroup, func(g api.SecurityGroup) string { return g.ID })
}

func (s *Server) getGroup(w http.ResponseWriter, r *request) error {
	g, err := s.Engine.SecurityGroup(r.Context(), r.ref())
	return answer(w, g, err)
}

func (s *Server) updateGroup(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateSecurityGroup)
}

func (s *Server) removeGroup(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveSecurityGroup(r.Context(), r.ref()))
}

func (s *Server) listAddresses(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Addresses(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createAddress(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateAddress, func(a api.Address) string { return a.ID })
}

func (s *Server) getAddress(w http.ResponseWriter, r *request) error {
	a, err := s.Engine.Address(r.Context(), r.ref())
	return answer(w, a, err)
}

func (s *Server) bindAddress(w http.ResponseWriter, r *request) error {
	return update(w, r, func(ctx context.Context, ref string, b api.AddressBinding) (api.Address, error) {
		if b.VPC != "" {
			return s.Engine.RouteAddress(ctx, ref, b.VPC)
		}
		return s.Engine.BindAddress(ctx, ref, b.Instance)
	})
}

func (s *Server) unbindAddress(w http.ResponseWriter, r *request) error {
	a, err := s.Engine.UnbindAddress(r.Context(), r.ref())
	return answer(w, a, err)
}

func (s *Server) removeAddress(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveAddress(r.Context(), r.ref()))
}
