package server

import (
	"net/http"

	"cis/api"
)

func diskRoutes() []Route {
	const tag = "disks"
	return []Route{
		{Method: "GET", Path: "/v1/disks", Name: "listDisks", Tag: tag,
			Summary: "List the disks", Replies: gives("all of them", api.List[api.Disk]{}), handle: (*Server).listDisks},
		{Method: "POST", Path: "/v1/disks", Name: "createDisk", Tag: tag,
			Summary: "Make a disk, empty or a copy of a snapshot", Body: api.Disk{}, Replies: made(api.Disk{}), handle: (*Server).createDisk},
		{Method: "GET", Path: "/v1/disks/{ref}", Name: "getDisk", Tag: tag,
			Summary: "Get a disk by name or ID", Replies: gives("the disk", api.Disk{}), handle: (*Server).getDisk},
		{Method: "PATCH", Path: "/v1/disks/{ref}", Name: "updateDisk", Tag: tag,
			Summary: "Change a disk, or make one bigger that no instance has", Body: api.DiskUpdate{}, Replies: gives("the disk", api.Disk{}),
			handle: (*Server).updateDisk},
		{Method: "POST", Path: "/v1/disks/{ref}/attach", Name: "attachDisk", Tag: tag,
			Summary: "Let an instance that has ended have a disk when it starts again", Body: api.DiskAttachment{},
			Replies: gives("the instance", api.Instance{}), handle: (*Server).attachDisk},
		{Method: "POST", Path: "/v1/disks/{ref}/detach", Name: "detachDisk", Tag: tag,
			Summary: "Let an instance that has ended start again without a disk", Body: api.DiskDetachment{},
			Replies: gives("the instance", api.Instance{}), handle: (*Server).detachDisk},
		{Method: "DELETE", Path: "/v1/disks/{ref}", Name: "removeDisk", Tag: tag,
			Summary: "Remove a disk that no instance has, with what is on it", Replies: givesNothing("it is gone"), handle: (*Server).removeDisk},
		{Method: "GET", Path: "/v1/disksnapshots", Name: "listDiskSnapshots", Tag: tag,
			Summary: "List the snapshots of disks", Replies: gives("all of them", api.List[api.DiskSnapshot]{}), handle: (*Server).listSnapshots},
		{Method: "POST", Path: "/v1/disksnapshots", Name: "createDiskSnapshot", Tag: tag,
			Summary: "Make a snapshot of a disk that no instance has", Body: api.DiskSnapshot{}, Replies: made(api.DiskSnapshot{}),
			handle: (*Server).createSnapshot},
		{Method: "GET", Path: "/v1/disksnapshots/{ref}", Name: "getDiskSnapshot", Tag: tag,
			Summary: "Get a snapshot of a disk by name or ID", Replies: gives("the snapshot", api.DiskSnapshot{}), handle: (*Server).getSnapshot},
		{Method: "DELETE", Path: "/v1/disksnapshots/{ref}", Name: "removeDiskSnapshot", Tag: tag,
			Summary: "Remove a snapshot; disks that were made of it stay", Replies: givesNothing("it is gone"), handle: (*Server).removeSnapshot},
	}
}

func (s *Server) listDisks(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.Disks(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createDisk(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateDisk, func(d api.Disk) string { return d.ID })
}

func (s *Server) getDisk(w http.ResponseWriter, r *request) error {
	d, err := s.Engine.Disk(r.Context(), r.ref())
	return answer(w, d, err)
}

func (s *Server) updateDisk(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.UpdateDisk)
}

func (s *Server) attachDisk(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.AttachDisk)
}

func (s *Server) detachDisk(w http.ResponseWriter, r *request) error {
	return update(w, r, s.Engine.DetachDisk)
}

func (s *Server) removeDisk(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveDisk(r.Context(), r.ref()))
}

func (s *Server) listSnapshots(w http.ResponseWriter, r *request) error {
	all, err := s.Engine.DiskSnapshots(r.Context())
	return answerList(w, all, err)
}

func (s *Server) createSnapshot(w http.ResponseWriter, r *request) error {
	return create(w, r, s.Engine.CreateDiskSnapshot, func(s api.DiskSnapshot) string { return s.ID })
}

func (s *Server) getSnapshot(w http.ResponseWriter, r *request) error {
	one, err := s.Engine.DiskSnapshot(r.Context(), r.ref())
	return answer(w, one, err)
}

func (s *Server) removeSnapshot(w http.ResponseWriter, r *request) error {
	return answerNothing(w, s.Engine.RemoveDiskSnapshot(r.Context(), r.ref()))
}
