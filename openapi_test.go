package backend_test

import (
	"encoding/json"
	"net/http/httptest"
	"os"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend"
	"github.com/seed-215b9b7c/backend/backendtest"
)

// description returns the OpenAPI description of the shop.
func description(t *testing.T) []byte {
	t.Helper()
	_, logic := newShop(t, backendtest.NewDB(t, backend.SQLite))
	r := backend.NewRouter()
	r.Mount("/api", logic.REST())
	r.Handle("GET /openapi.json", logic.OpenAPI(backend.OpenAPIConfig{Title: "Shop", License: "MIT", Bearer: true}))
	w := httptest.NewRecorder()
	r.ServeHTTP(w, httptest.NewRequest("GET", "/openapi.json", nil))
	require.Equal(t, 200, w.Code, w.Body)
	require.Equal(t, "application/json", w.Header().Get("Content-Type"))
	return w.Body.Bytes()
}

func TestOpenAPI(t *testing.T) {
	t.Parallel()
	text := description(t)
	if file := os.Getenv("OPENAPI_OUT"); file != "" {
		require.NoError(t, os.WriteFile(file, text, 0o644))
	}
	var document struct {
		OpenAPI string
		Servers []struct{ URL string }
		Paths   map[string]map[string]struct {
			OperationID string
			Parameters  []map[string]any
			RequestBody struct{ Content map[string]map[string]any }
			Responses   map[string]map[string]any
			Security    []map[string][]string
		}
		Components struct{ Schemas map[string]map[string]any }
	}
	require.NoError(t, json.Unmarshal(text, &document))
	require.Equal(t, "3.1.0", document.OpenAPI)
	require.Equal(t, "/api", document.Servers[0].URL)
	create := document.Paths["/items"]["post"]
	require.Equal(t, "createItem", create.OperationID)
	require.Equal(t, []map[string][]string{{"bearer": {}}}, create.Security)
	require.Equal(t, "Idempotency-Key", create.Parameters[0]["name"])
	require.Contains(t, create.Responses["201"]["headers"], "Location")
	require.Contains(t, create.Responses, "4XX")
	require.Equal(t, map[string]any{"$ref": "#/components/schemas/newItem"}, create.RequestBody.Content["application/json"]["schema"])
	require.Equal(t, map[string]any{
		"type": "object", "additionalProperties": false, "required": []any{"name"},
		"properties": map[string]any{
			"name":  map[string]any{"type": "string", "maxLength": 20.0},
			"price": map[string]any{"type": []any{"number", "null"}, "format": "double", "minimum": 0.0},
			"tags":  map[string]any{"type": "array", "maxItems": 3.0, "items": map[string]any{"type": "string", "maxLength": 5.0}},
		},
	}, document.Components.Schemas["newItem"])
	require.Equal(t, map[string]any{
		"type": "object", "required": []any{"id", "name", "price", "owner", "version"},
		"properties": map[string]any{
			"id": map[string]any{"type": "string", "pattern": "^-?[0-9]+$", "examples": []any{"1"}}, "name": map[string]any{"type": "string"}, "owner": map[string]any{"type": "string"},
			"price": map[string]any{"type": []any{"number", "null"}, "format": "double"}, "version": map[string]any{"type": "integer", "format": "int64"},
		},
	}, document.Components.Schemas["item"])
	require.Contains(t, document.Components.Schemas, "PageItem")
	require.Contains(t, document.Paths["/items/{id}"]["patch"].RequestBody.Content, "application/merge-patch+json")
	require.Empty(t, document.Paths["/fail"]["post"].Security, "public")
}
