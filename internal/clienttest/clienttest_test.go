package clienttest_test

import (
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
	"github.com/seed-215b9b7c/backend/internal/clienttest"
	_ "github.com/seed-215b9b7c/backend/sqlite"
)

// demanded is the environment variable that demands these tests. They need what
// .ci/run installs: npm, and its packages in the folder typescript.
const demanded = "TEST_CLIENTS"

// tools returns a function that runs programs in a folder.
func tools(t *testing.T, folder string) func(name string, args ...string) {
	t.Helper()
	if os.Getenv(demanded) != "1" {
		t.Skipf("run npm ci in internal/clienttest/typescript and set %s=1 to try generated clients", demanded)
	}
	return func(name string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), name, args...)
		command.Dir = folder
		output, err := command.CombinedOutput()
		require.NoError(t, err, "%v\n%s", command, output)
		t.Logf("%v\n%s", command, output)
	}
}

// serve starts the API and writes its description to a file.
func serve(t *testing.T, errors backend.ErrorsConfig) (url, description string) {
	t.Helper()
	db := backendtest.NewDB(t, backend.SQLite)
	require.NoError(t, db.Migrate(t.Context(), nil))
	server := httptest.NewServer(clienttest.Handler(db, slog.New(slog.DiscardHandler), errors))
	t.Cleanup(server.Close)
	response, err := server.Client().Get(server.URL + "/openapi.json")
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusOK, response.StatusCode)
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	description = filepath.Join(t.TempDir(), "openapi.json")
	require.NoError(t, os.WriteFile(description, text, 0o600))
	return server.URL, description
}

func TestDescriptionIsValid(t *testing.T) {
	run := tools(t, "typescript")
	for _, errors := range []backend.ErrorsConfig{{}, clienttest.OwnErrors()} {
		_, description := serve(t, errors)
		run("npx", "--no-install", "spectral", "lint", "--ruleset", ".spectral.json", "--fail-severity", "error", description)
		run("npx", "--no-install", "redocly", "lint", "--extends", "recommended", description)
	}
}

func TestTypeScriptClient(t *testing.T) {
	run := tools(t, "typescript")
	url, description := serve(t, backend.ErrorsConfig{})
	run("npx", "--no-install", "openapi-typescript", description, "--output", "api.d.ts")
	run("npx", "--no-install", "tsc")
	run("node", "out/calls.js", url, clienttest.Token)
}

func TestGoClient(t *testing.T) {
	run := tools(t, "goclient")
	url, description := serve(t, backend.ErrorsConfig{})
	generated := filepath.Join(t.TempDir(), "client.go")
	run("go", "tool", "-modfile=../../tools/go.mod", "oapi-codegen", "-config", "oapi-codegen.yaml", "-o", generated, description)
	text, err := os.ReadFile(generated)
	require.NoError(t, err)
	text = append([]byte("//go:build generated\n\n"), text...)
	require.NoError(t, os.WriteFile("goclient/client.gen.go", text, 0o600))
	run("go", "run", "-tags", "generated", ".", url, clienttest.Token)
}
