package secret

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestTextPrintsAsAMask(t *testing.T) {
	t.Parallel()
	account := struct{ Password Text }{"hunter2"}
	marshalled, err := json.Marshal(account)
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", slog.Any("password", account.Password))
	_, logged, _ := bytes.Cut(log.Bytes(), []byte("msg="))
	got := []string{fmt.Sprintf("%v %+v %s", account, account, account.Password), fmt.Sprintf("%#v", account.Password), string(marshalled), string(logged)}
	want := []string{"{***} {Password:***} ***", "***", `{"Password":"***"}`, "x password=***\n"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if account.Password.Reveal() != "hunter2" {
		t.Error("the secret is lost")
	}
}
