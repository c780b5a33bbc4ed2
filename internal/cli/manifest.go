package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"

	"cis/api"
)

// maxManifest bounds a file of instances.
const maxManifest = 16 << 20

// readManifest reads the instances of a YAML or JSON file; "-" is stdin.
func readManifest(file string, stdin io.Reader) ([]api.CreateInstance, error) {
	r := stdin
	if file != "-" {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		r = f
	}
	data, err := io.ReadAll(io.LimitReader(r, maxManifest+1))
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if len(data) > maxManifest {
		return nil, fmt.Errorf("%s is larger than 16 MiB", file)
	}
	reqs, err := parseManifest(data)
	if err != nil {
		return nil, err
	}
	if len(reqs) == 0 {
		return nil, fmt.Errorf("%s holds no instance", file)
	}
	return reqs, nil
}

// parseManifest reads one or more documents, each a create request.
func parseManifest(data []byte) ([]api.CreateInstance, error) {
	var reqs []api.CreateInstance
	docs := splitDocuments(data)
	for i, doc := range docs {
		var req api.CreateInstance
		if err := api.Decode(doc, &req); err != nil {
			if len(docs) > 1 {
				return nil, fmt.Errorf("document %d: %w", i+1, err)
			}
			return nil, err
		}
		reqs = append(reqs, req)
	}
	return reqs, nil
}

// splitDocuments cuts at lines that start with --- (a document's start anywhere
// in YAML, even within a block of text), and leaves out empty documents.
// Several JSON documents may also follow each other without a separator.
func splitDocuments(data []byte) [][]byte {
	var docs [][]byte
	var doc []byte
	flush := func() {
		if hasContent(doc) {
			docs = append(docs, splitJSON(doc)...)
		}
		doc = nil
	}
	for line := range bytes.Lines(data) {
		rest, mark := bytes.CutPrefix(line, []byte("---"))
		if mark && (len(bytes.TrimRight(rest, "\r\n")) == 0 || rest[0] == ' ' || rest[0] == '\t') {
			flush()
			line = rest
		}
		doc = append(doc, line...)
	}
	flush()
	return docs
}

// hasContent is false for nothing but blank lines and comments.
func hasContent(doc []byte) bool {
	for line := range bytes.Lines(doc) {
		line = bytes.TrimSpace(line)
		if len(line) > 0 && line[0] != '#' {
			return true
		}
	}
	return false
}

// splitJSON separates JSON objects that follow each other; what is not such a
// sequence stays whole, for the YAML parser to judge.
func splitJSON(doc []byte) [][]byte {
	if doc = bytes.TrimSpace(doc); doc[0] != '{' {
		return [][]byte{doc}
	}
	var docs [][]byte
	dec := json.NewDecoder(bytes.NewReader(doc))
	for {
		var one json.RawMessage
		if err := dec.Decode(&one); err == io.EOF {
			return docs
		} else if err != nil {
			return [][]byte{doc}
		}
		docs = append(docs, one)
	}
}
