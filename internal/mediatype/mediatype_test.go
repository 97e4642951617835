package mediatype_test

import (
	"mime"
	"slices"
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
		"multipart/x-mixed-replace": true, "multipart/related": true,
		"image/png": false, "application/pdf": false, "text/plain": false, "application/json": false,
	} {
		require.Equal(t, want, mediatype.IsActive(mediaType), mediaType)
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	const png, zip, webm = "\x89PNG\x0D\x0A\x1A\x0A", "PK\x03\x04", "\x1A\x45\xDF\xA3"
	all := func(string) bool { return true }
	only := func(types ...string) func(string) bool {
		return func(t string) bool { return slices.Contains(types, t) }
	}
	for _, test := range []struct {
		head     string
		wanted   func(string) bool
		declared []string
		want     string
	}{
		{png, all, []string{"image/png"}, "image/png"},
		{png, all, []string{"image/jpeg"}, "image/png"},
		{png, all, nil, "image/png"},
		{"<html><script>", all, []string{"image/png"}, "text/html"},
		{"<html><script>", all, []string{"text/plain"}, "text/html"},
		{"no picture", all, []string{"image/png"}, "text/plain"},
		{"\x00\x01\x02", all, []string{"image/png"}, mediatype.Unknown},
		{"\x00\x01\x02", all, []string{"application/vnd.sqlite3"}, "application/vnd.sqlite3"},
		{"\x00\x01\x02", all, []string{"text/csv"}, mediatype.Unknown},
		{"a,b\n", all, []string{"text/csv; charset=utf-8"}, "text/csv"},
		{"a,b\n", only("text/csv"), []string{"application/vnd.ms-excel", "text/csv; charset=utf-8"}, "text/csv"},
		{"{}", all, []string{"application/json"}, "application/json"},
		{"<?xml version='1.0'?><svg/>", all, []string{"image/svg+xml"}, "image/svg+xml"},
		{"<svg/>", all, []string{"image/svg+xml"}, "image/svg+xml"},
		{zip, all, []string{"application/vnd.openxmlformats-officedocument.wordprocessingml.document"}, "application/vnd.openxmlformats-officedocument.wordprocessingml.document"},
		{zip, only("application/zip"), []string{"application/vnd.ms-excel"}, "application/zip"},
		{zip, all, []string{"image/png"}, "application/zip"},
		{webm, all, []string{"audio/webm"}, "audio/webm"},
		{webm, all, []string{"audio/mp4"}, "video/webm"},
		{"OggS\x00", all, []string{"audio/ogg"}, "audio/ogg"},
		{"\x1F\x8B\x08", all, []string{"application/gzip"}, "application/gzip"},
		{"RIFF0000WAVE", all, []string{"audio/wav"}, "audio/wav"},
		{"\x00\x00\x01\x00", all, []string{"image/vnd.microsoft.icon"}, "image/vnd.microsoft.icon"},
		{"", all, []string{"not a type", ""}, "text/plain"},
	} {
		require.Equal(t, test.want, mediatype.Of([]byte(test.head), test.wanted, test.declared...), "%q as %q", test.head, test.declared)
	}
}
