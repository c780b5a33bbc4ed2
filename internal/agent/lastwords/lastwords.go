// Package lastwords reads what a program has written into the file that its container has
// for a message about its end.
package lastwords

import (
	"fmt"
	"io"
	"os"
)

// Max is how much of it is kept, in bytes: as much as a kubelet does.
const Max = 4096

// Make makes an empty file that everybody may write to.
func Make(path string) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("make the file for a message: %w", err)
	}
	defer file.Close()
	return file.Chmod(0o666) // whatever the umask
}

// Or are the words, or why they could not be read.
func Or(words string, err error) string {
	if err != nil {
		return err.Error()
	}
	return words
}

// Read returns the end of the file, Max bytes at most.
func Read(path string) (string, error) {
	file, err := os.Open(path)
	if err != nil {
		return "", fmt.Errorf("read a message: %w", err)
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", fmt.Errorf("read a message: %w", err)
	}
	text, err := io.ReadAll(io.NewSectionReader(file, max(info.Size()-Max, 0), Max))
	if err != nil {
		return "", fmt.Errorf("read a message: %w", err)
	}
	return string(text), nil
}
