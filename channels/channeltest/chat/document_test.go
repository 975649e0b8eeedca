package chat

import (
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// The document shows this package, and the call of the suite, as they are.
func TestDocument(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/adding-a-channel.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := map[string]string{}
	for _, block := range strings.Split(string(page), "```go\n")[1:] {
		code, _, _ := strings.Cut(block, "```")
		name, _, _ := strings.Cut(code, "\n")
		blocks[name] = strings.TrimPrefix(code, name+"\n")
	}
	for _, name := range []string{"chat.go", "chat_test.go"} {
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(file), blocks["// channels/chat/"+name]); diff != "" {
			t.Errorf("docs/adding-a-channel.md has another %s (-file +document):\n%s", name, diff)
		}
	}
}
