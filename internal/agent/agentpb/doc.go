// Package agentpb is the protocol between the engine and an agent: ttrpc with
// protobuf messages over one byte stream. What both sides already have as Go
// types of package api travels as JSON inside the messages.
//
// It holds no behaviour.
package agentpb

//go:generate protoc --go_out=. --go_opt=paths=source_relative --go-ttrpc_out=. --go-ttrpc_opt=paths=source_relative agent.proto
