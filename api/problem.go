package api

// Problem is the body of every HTTP error, of media type
// application/problem+json (RFC 9457).
type Problem struct {
	// Type is about:blank: Code tells the kind.
	Type string `json:"type"`
	// Title is the phrase of the HTTP status.
	Title  string `json:"title"`
	Status int    `json:"status"`
	// Detail is the cause in words.
	Detail string `json:"detail"`
	Code   Code   `json:"code"`
	// Field is the path of the offending field, or the name of the parameter.
	Field string `json:"field,omitempty"`
	// Next is the step that helps.
	Next string `json:"next,omitempty"`
	// Instance is the ID of the request, which the server's log has too.
	Instance string `json:"instance,omitempty"`
	// Errors lists every mistake of a request that has several.
	Errors []*Error `json:"errors,omitempty"`
}

// Err gives the error that the problem describes.
func (p *Problem) Err() *Error {
	return &Error{Code: p.Code, Message: p.Detail, Field: p.Field, Next: p.Next, Errors: p.Errors}
}
