package server

import (
	"math"
	"net/http"
	"slices"

	"cis/api"
)

// Route is one operation of the API: how it is asked for, what it takes and
// gives, and the function that does it.
type Route struct {
	Method string
	// Path as net/http's ServeMux takes it.
	Path string
	// Name is unique among the routes; Summary says what it does.
	Name, Summary string
	// Tag groups routes in the reference.
	Tag   string
	Query []Param
	// Body is a value of the JSON body's type, BodyType the media type of another body.
	Body     any
	BodyType string
	Replies  []Reply
	// Role that it asks of callers; empty: viewer of a GET, operator of what changes something.
	// System: only who runs the service may call it.
	Role   api.Role
	System bool
	// Stream: it goes on after the reply's header, and ends when the server stops.
	Stream bool

	handle func(*Server, http.ResponseWriter, *request) error
}

// Reply is one way in which an operation succeeds.
type Reply struct {
	Status int
	Doc    string
	// Type is the media type; empty: no body.
	Type string
	// Body is a value of the JSON's type, or that of each line for NDJSON.
	Body any
}

// The media types of replies.
const (
	typeJSON   = "application/json"
	typeLines  = "application/x-ndjson"
	typeText   = "text/plain; charset=utf-8"
	typeFrames = "application/vnd.cis.log-frames"
	typeTar    = "application/x-tar"
	typeAny    = "application/octet-stream"
)

func gives(doc string, body any) []Reply {
	return []Reply{{Status: http.StatusOK, Doc: doc, Type: typeJSON, Body: body}}
}

func givesLines(doc string, line any) []Reply {
	return []Reply{{Status: http.StatusOK, Doc: doc, Type: typeLines, Body: line}}
}

func givesNothing(doc string) []Reply {
	return []Reply{{Status: http.StatusNoContent, Doc: doc}}
}

func upgrades() []Reply {
	return []Reply{{Status: http.StatusSwitchingProtocols, Doc: "a WebSocket of binary messages; the first byte of each names its channel"}}
}

// Routes lists the operations of /v1 and those beside it.
func Routes() []Route {
	return slices.Concat(instanceRoutes(), streamRoutes(), networkRoutes(), diskRoutes(), identityRoutes(), meterRoutes(), otherRoutes())
}

func limitParam() Param { return intParam("limit", "most items in a page; 500 by default", 1, 1000) }

func containerParam() Param {
	return stringParam("container", "name of the container; the first by default")
}

func instanceRoutes() []Route {
	const tag = "instances"
	ended := graceParam("time from the stop signal to the kill; the spec's by default")
	return []Route{
		{Method: "POST", Path: "/v1/instances", Name: "createInstance", Tag: tag,
			Summary: "Create an instance and start it", Body: api.CreateInstance{},
			Replies: []Reply{
				{Status: http.StatusCreated, Doc: "it is on record and starts", Type: typeJSON, Body: api.Instance{}},
				{Status: http.StatusOK, Doc: "the client token named an instance that exists already", Type: typeJSON, Body: api.Instance{}},
			}, handle: (*Server).createInstance},
		{Method: "GET", Path: "/v1/instances", Name: "listInstances", Tag: tag,
			Summary: "List instances, or watch them change", Stream: true,
			Query: []Param{selectorParam(), phaseParam(), limitParam(),
				stringParam("continue", "the token of the page before"),
				boolParam("watch", "send every change, one a line, instead of a page"),
				intParam("revision", "watch from this revision on; without it every instance comes first", 0, math.MaxInt64)},
			Replies: append(gives("a page", api.List[api.Instance]{}),
				givesLines("with watch", api.WatchEvent[api.Instance]{})...), handle: (*Server).listInstances},
		{Method: "GET", Path: "/v1/instances/{ref}", Name: "getInstance", Tag: tag,
			Summary: "Get an instance by name, ID or the beginning of its ID",
			Replies: gives("the instance", api.Instance{}), handle: (*Server).getInstance},
		{Method: "DELETE", Path: "/v1/instances/{ref}", Name: "removeInstance", Tag: tag,
			Summary: "Remove an instance that has finished, with its logs",
			Query: []Param{boolParam("force", "end it first if it runs"),
				graceParam("with force: time from the stop signal to the kill; 0 by default")},
			Replies: givesNothing("it is gone"), handle: (*Server).removeInstance},
		{Method: "GET", Path: "/v1/instances/{ref}/wait", Name: "waitInstance", Tag: tag,
			Summary: "Wait until an instance has finished", Stream: true,
			Replies: gives("the instance as it ended", api.Instance{}), handle: (*Server).waitInstance},
		{Method: "POST", Path: "/v1/instances/{ref}/stop", Name: "stopInstance", Tag: tag,
			Summary: "End the programs of an instance; the record stays", Query: []Param{ended},
			Replies: gives("the instance", api.Instance{}), handle: (*Server).stopInstance},
		{Method: "POST", Path: "/v1/instances/{ref}/start", Name: "startInstance", Tag: tag,
			Summary: "Run a finished instance again",
			Replies: gives("the instance", api.Instance{}), handle: (*Server).startInstance},
		{Method: "POST", Path: "/v1/instances/{ref}/restart", Name: "restartInstance", Tag: tag,
			Summary: "Stop and start an instance", Query: []Param{ended},
			Replies: gives("the instance", api.Instance{}), handle: (*Server).restartInstance},
		{Method: "POST", Path: "/v1/instances/{ref}/ephemeralcontainers", Name: "addContainer", Tag: tag,
			Summary: "Add a container to an instance that runs, to look at the others", Body: api.EphemeralContainer{},
			Replies: []Reply{{Status: http.StatusCreated, Doc: "it is on record and starts", Type: typeJSON, Body: api.Instance{}}}, handle: (*Server).addContainer},
		{Method: "POST", Path: "/v1/instances/{ref}/resize", Name: "resizeInstance", Tag: tag,
			Summary: "Give an instance another size while it runs; status.resources tells when it holds", Body: api.InstanceResize{},
			Replies: gives("it is on record", api.Instance{}), handle: (*Server).resizeInstance},
		{Method: "PUT", Path: "/v1/instances/{ref}/securitygroups", Name: "setSecurityGroups", Tag: tag,
			Summary: "Put an instance into other security groups, live; it holds before the reply", Body: api.InstanceGroups{},
			Replies: gives("the instance", api.Instance{}), handle: (*Server).setSecurityGroups},
		{Method: "POST", Path: "/v1/instances/{ref}/kill", Name: "killInstance", Tag: tag,
			Summary: "Send a signal to a container's program", Query: []Param{signalParam(), containerParam()},
			Replies: givesNothing("it was sent"), handle: (*Server).killInstance},
		{Method: "GET", Path: "/v1/instances/{ref}/console", Name: "instanceConsole", Tag: tag,
			Summary: "Show what the kernel of a VM has printed",
			Replies: gives("the last of it", api.Console{}), handle: (*Server).instanceConsole},
		{Method: "GET", Path: "/v1/instances/{ref}/stats", Name: "instanceStats", Tag: tag,
			Summary: "Show what an instance uses now",
			Replies: gives("the figures", api.Stats{}), handle: (*Server).instanceStats},
	}
}

func streamRoutes() []Route {
	const tag = "streams"
	stdin := boolParam("stdin", "the client sends standard input")
	return []Route{
		{Method: "GET", Path: "/v1/instances/{ref}/logs", Name: "instanceLogs", Tag: tag,
			Summary: "Read the output of a container", Stream: true,
			Query: []Param{containerParam(), boolParam("follow", "go on with new output until the container has ended for good"),
				boolParam("previous", "of the run before the latest restart"), tailParam(), sinceParam(),
				boolParam("timestamps", "put the RFC 3339 time before each line"),
				choiceParam("format", "text mixes both streams; frames puts an 8-byte header before each piece: the stream "+
					"(1 stdout, 2 stderr, 3 an error in JSON at the end), three zeros, the length as 32 bits big-endian", "text", "frames")},
			Replies: []Reply{{Status: http.StatusOK, Doc: "the output", Type: typeText},
				{Status: http.StatusOK, Doc: "with format=frames", Type: typeFrames}}, handle: (*Server).instanceLogs},
		{Method: "GET", Path: "/v1/instances/{ref}/exec", Name: "execInstance", Tag: tag, Role: api.RoleOperator,
			Summary: "Run a command in a container", Stream: true,
			Query: []Param{stringParam("command", "the program, then each of its arguments").repeated().required(), containerParam(), envParam(),
				stringParam("workingDir", "an absolute path; the container's by default"),
				stringParam("user", "name or number, optionally with :group; the container's by default"),
				boolParam("tty", "give the command a terminal"), stdin},
			Replies: upgrades(), handle: (*Server).execInstance},
		{Method: "GET", Path: "/v1/instances/{ref}/attach", Name: "attachInstance", Tag: tag, Role: api.RoleOperator,
			Summary: "Join the program of a container", Stream: true,
			Query: []Param{containerParam(), boolParam("replay", "begin with the output since the program's start"), stdin,
				boolParam("tty", "the program has a terminal: all output comes as standard output")},
			Replies: upgrades(), handle: (*Server).attachInstance},
		{Method: "GET", Path: "/v1/instances/{ref}/port-forward", Name: "forwardPort", Tag: tag, Role: api.RoleOperator,
			Summary: "Join with a port of an instance", Stream: true,
			Query:   []Param{intParam("port", "the port, 1 to 65535", 1, 65535).required()},
			Replies: upgrades(), handle: (*Server).forwardPort},
		{Method: "GET", Path: "/v1/instances/{ref}/archive", Name: "copyOut", Tag: tag, Role: api.RoleOperator,
			Summary: "Read a file or directory of a container as a tar stream", Stream: true,
			Query:   []Param{pathParam(), containerParam()},
			Replies: []Reply{{Status: http.StatusOK, Doc: "the archive", Type: typeTar}}, handle: (*Server).copyOut},
		{Method: "PUT", Path: "/v1/instances/{ref}/archive", Name: "copyIn", Tag: tag,
			Summary: "Unpack a tar stream into a directory of a container", Stream: true,
			Query: []Param{pathParam(), containerParam()}, BodyType: typeTar,
			Replies: givesNothing("all is unpacked"), handle: (*Server).copyIn},
		{Method: "GET", Path: "/v1/events", Name: "listEvents", Tag: tag,
			Summary: "List events, oldest first, or watch them", Stream: true,
			Query: []Param{stringParam("instance", "only of this instance"), intParam("since", "only later ones than this ID", 0, math.MaxInt64),
				limitParam(), boolParam("watch", "send every event, one a line, instead of a page")},
			Replies: append(gives("a page", api.List[api.Event]{}),
				givesLines("with watch; MODIFIED is a further one of its kind", api.WatchEvent[api.Event]{})...), handle: (*Server).listEvents},
	}
}

func otherRoutes() []Route {
	return []Route{
		{Method: "GET", Path: "/v1/images", Name: "listImages", Tag: "images",
			Summary: "List the images on disk", Replies: gives("all of them", api.List[api.Image]{}), handle: (*Server).listImages},
		{Method: "POST", Path: "/v1/images/pull", Name: "pullImage", Tag: "images", Stream: true,
			Summary: "Fetch an image", Body: api.ImagePull{},
			Replies: givesLines("progress; the last line has the image or the error", api.Progress{}), handle: (*Server).pullImage},
		{Method: "POST", Path: "/v1/images/import", Name: "importImage", Tag: "images", Stream: true,
			Summary: "Take in an OCI layout, a docker-archive or the tar of a root file system",
			Query:   []Param{stringParam("ref", "the name to give it; an archive that has names of its own needs none")}, BodyType: typeTar,
			Replies: givesLines("progress; the last line has the image or the error", api.Progress{}), handle: (*Server).importImage},
		{Method: "DELETE", Path: "/v1/images/{ref...}", Name: "removeImage", Tag: "images",
			Summary: "Remove an image that no instance uses", Replies: givesNothing("it is gone"), handle: (*Server).removeImage},
		{Method: "GET", Path: "/v1/secrets", Name: "listSecrets", Tag: "secrets",
			Summary: "List the secrets, without their values", Replies: gives("all of them", api.List[api.Secret]{}), handle: (*Server).listSecrets},
		{Method: "PUT", Path: "/v1/secrets/{name}", Name: "putSecret", Tag: "secrets",
			Summary: "Keep a secret, or replace it", Body: api.Secret{},
			Replies: gives("the secret, without its values", api.Secret{}), handle: (*Server).putSecret},
		{Method: "DELETE", Path: "/v1/secrets/{name}", Name: "removeSecret", Tag: "secrets",
			Summary: "Remove a secret", Replies: givesNothing("it is gone"), handle: (*Server).removeSecret},
		{Method: "GET", Path: "/v1/info", Name: "info", Tag: "system",
			Summary: "Describe the host and the server", Replies: gives("the description", api.Info{}), handle: (*Server).info},
		{Method: "GET", Path: "/v1/version", Name: "version", Tag: "system",
			Summary: "Tell the version", Replies: gives("the version", api.Version{}), handle: (*Server).version},
		{Method: "GET", Path: "/openapi.json", Name: "openapi", Tag: "system",
			Summary: "Describe this API in OpenAPI 3.1", Replies: []Reply{{Status: http.StatusOK, Doc: "the description", Type: typeJSON}},
			handle: (*Server).openapi},
		{Method: "GET", Path: "/metrics", Name: "metrics", Tag: "system", System: true,
			Summary: "Figures in the Prometheus text format", Replies: []Reply{{Status: http.StatusOK, Doc: "the figures", Type: typeText}},
			handle: (*Server).showMetrics},
		{Method: "GET", Path: HealthPath, Name: "health", Tag: "system",
			Summary: "Tell whether the server serves; needs no token", Replies: []Reply{{Status: http.StatusOK, Doc: "ok", Type: typeText}},
			handle: (*Server).health},
	}
}

// HealthPath is the one route that needs no token.
const HealthPath = "/healthz"
