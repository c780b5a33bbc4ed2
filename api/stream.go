package api

// StreamChannel is the first byte of each binary WebSocket message of exec,
// attach and port-forward; the rest of the message belongs to that channel.
type StreamChannel byte

// The channels. On a port-forward, ChannelStdin carries what goes to the port and
// ChannelStdout what comes from it.
const (
	ChannelStdin  StreamChannel = 0
	ChannelStdout StreamChannel = 1
	ChannelStderr StreamChannel = 2
	// ChannelStatus carries a StreamStatus in JSON, from the server.
	ChannelStatus StreamChannel = 3
	// ChannelResize carries a WindowSize in JSON, from the client.
	ChannelResize StreamChannel = 4
	// ChannelClose ends the channel that the next byte names; the others go on.
	ChannelClose StreamChannel = 255
)

// MaxStreamMessage is the most bytes that a message of a stream may have.
const MaxStreamMessage = 1 << 20

// StreamStatus tells what happens to the program of a stream. One with nothing
// set only keeps the connection alive.
type StreamStatus struct {
	// Started: the program runs.
	Started bool `json:"started,omitempty"`
	// ExitCode is set once, when the program has ended.
	ExitCode *int `json:"exitCode,omitempty"`
	// Error is set instead when there is no exit code to tell.
	Error *Error `json:"error,omitempty"`
}

// WindowSize of a terminal, in characters.
type WindowSize struct {
	Width  uint16 `json:"width"`
	Height uint16 `json:"height"`
}

// LogStream is the first byte of the 8-byte header of each frame of logs in the
// frames format; three zero bytes and the length of the data (big-endian, 32
// bits) follow.
type LogStream byte

// The streams of logs. LogError is on the last frame of logs that broke off; its
// data is an Error in JSON.
const (
	LogStdout LogStream = 1
	LogStderr LogStream = 2
	LogError  LogStream = 3
)
