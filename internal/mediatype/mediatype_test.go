package mediatype_test

import (
	"mime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/seed-215b9b7c/backend/internal/mediatype"
)

func TestByName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"notes.csv": "text/csv; charset=utf-8", "a.b.PNG": "image/png", "dir.css/x": mediatype.Unknown, "": mediatype.Unknown,
		"x.": mediatype.Unknown, "x.exe": mediatype.Unknown, ".json": "application/json",
	} {
		got := mediatype.ByName(name)
		require.Equal(t, want, got, name)
		_, _, err := mime.ParseMediaType(got)
		require.NoError(t, err)
	}
}

func TestIsActive(t *testing.T) {
	t.Parallel()
	for mediaType, want := range map[string]bool{
		"text/html": true, "image/svg+xml": true, "application/xhtml+xml": true, "application/xml": true, "application/atom+xml": true,
		"image/png": false, "application/pdf": false, "text/plain": false, "application/json": false,
	} {
		require.Equal(t, want, mediatype.IsActive(mediaType), mediaType)
	}
}
