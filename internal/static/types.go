package static

import (
	"path"
	"strings"
)

// unknownType is the content type of a file whose extension is unknown.
const unknownType = "application/octet-stream"

// types has content types by extension. package mime has others on other machines.
var types = map[string]string{
	".7z":          "application/x-7z-compressed",
	".aac":         "audio/aac",
	".apng":        "image/apng",
	".atom":        "application/atom+xml",
	".avif":        "image/avif",
	".bmp":         "image/bmp",
	".cjs":         "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".csv":         "text/csv; charset=utf-8",
	".eot":         "application/vnd.ms-fontobject",
	".epub":        "application/epub+zip",
	".flac":        "audio/flac",
	".gif":         "image/gif",
	".glb":         "model/gltf-binary",
	".gltf":        "model/gltf+json",
	".gz":          "application/gzip",
	".htm":         "text/html; charset=utf-8",
	".html":        "text/html; charset=utf-8",
	".ico":         "image/x-icon",
	".ics":         "text/calendar; charset=utf-8",
	".jpeg":        "image/jpeg",
	".jpg":         "image/jpeg",
	".js":          "text/javascript; charset=utf-8",
	".json":        "application/json",
	".jsonld":      "application/ld+json",
	".jxl":         "image/jxl",
	".m3u8":        "application/vnd.apple.mpegurl",
	".m4a":         "audio/mp4",
	".m4v":         "video/mp4",
	".map":         "application/json",
	".md":          "text/markdown; charset=utf-8",
	".mjs":         "text/javascript; charset=utf-8",
	".mov":         "video/quicktime",
	".mp3":         "audio/mpeg",
	".mp4":         "video/mp4",
	".mpd":         "application/dash+xml",
	".oga":         "audio/ogg",
	".ogg":         "audio/ogg",
	".ogv":         "video/ogg",
	".opus":        "audio/ogg",
	".otf":         "font/otf",
	".pdf":         "application/pdf",
	".png":         "image/png",
	".rss":         "application/rss+xml",
	".svg":         "image/svg+xml",
	".tif":         "image/tiff",
	".tiff":        "image/tiff",
	".ts":          "video/mp2t",
	".ttf":         "font/ttf",
	".txt":         "text/plain; charset=utf-8",
	".vtt":         "text/vtt; charset=utf-8",
	".wasm":        "application/wasm",
	".wav":         "audio/wav",
	".weba":        "audio/webm",
	".webm":        "video/webm",
	".webmanifest": "application/manifest+json",
	".webp":        "image/webp",
	".woff":        "font/woff",
	".woff2":       "font/woff2",
	".xhtml":       "application/xhtml+xml",
	".xml":         "application/xml",
	".xsl":         "application/xslt+xml",
	".yaml":        "application/yaml",
	".yml":         "application/yaml",
	".zip":         "application/zip",
	".zst":         "application/zstd",
}

// typeOf returns the content type of a file by its extension. The types in more come first.
func typeOf(name string, more map[string]string) string {
	extension := strings.ToLower(path.Ext(name))
	if found, ok := more[extension]; ok {
		return found
	}
	if found, ok := types[extension]; ok {
		return found
	}
	return unknownType
}
