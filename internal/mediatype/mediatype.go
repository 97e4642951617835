// Package mediatype finds the media type of a file. What it says does not depend on the
// machine, as package mime does.
package mediatype

import (
	"mime"
	"net/http"
	"path"
	"strings"
)

// Unknown is the type of content that nothing is known about (RFC 2046, section 4.5.1).
const Unknown = "application/octet-stream"

// ByName returns the media type of a file by the extension of its name, or Unknown. Text
// has the charset UTF-8.
func ByName(name string) string {
	if t := byExtension[strings.ToLower(path.Ext(name))]; t != "" {
		return t
	}
	return Unknown
}

// IsActive reports whether a browser that shows content of a media type may run scripts in it.
// The parts of multipart/x-mixed-replace and multipart/related can be HTML.
func IsActive(mediaType string) bool {
	return mediaType == "text/html" || mediaType == "text/xml" || mediaType == "application/xml" ||
		strings.HasSuffix(mediaType, "+xml") || strings.HasPrefix(mediaType, "multipart/") || mediaType == "text/xsl"
}

var byExtension = map[string]string{
	".7z":          "application/x-7z-compressed",
	".aac":         "audio/aac",
	".apng":        "image/apng",
	".atom":        "application/atom+xml",
	".avif":        "image/avif",
	".bmp":         "image/bmp",
	".cjs":         "text/javascript; charset=utf-8",
	".css":         "text/css; charset=utf-8",
	".csv":         "text/csv; charset=utf-8",
	".doc":         "application/msword",
	".docx":        "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".eml":         "message/rfc822",
	".eot":         "application/vnd.ms-fontobject",
	".epub":        "application/epub+zip",
	".flac":        "audio/flac",
	".gif":         "image/gif",
	".glb":         "model/gltf-binary",
	".gltf":        "model/gltf+json",
	".gz":          "application/gzip",
	".heic":        "image/heic",
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
	".log":         "text/plain; charset=utf-8",
	".m3u8":        "application/vnd.apple.mpegurl",
	".m4a":         "audio/mp4",
	".m4v":         "video/mp4",
	".map":         "application/json",
	".md":          "text/markdown; charset=utf-8",
	".mjs":         "text/javascript; charset=utf-8",
	".mkv":         "video/matroska",
	".mov":         "video/quicktime",
	".mp3":         "audio/mpeg",
	".mp4":         "video/mp4",
	".mpd":         "application/dash+xml",
	".ndjson":      "application/x-ndjson",
	".ods":         "application/vnd.oasis.opendocument.spreadsheet",
	".odt":         "application/vnd.oasis.opendocument.text",
	".oga":         "audio/ogg",
	".ogg":         "audio/ogg",
	".ogv":         "video/ogg",
	".opus":        "audio/ogg",
	".otf":         "font/otf",
	".parquet":     "application/vnd.apache.parquet",
	".pdf":         "application/pdf",
	".png":         "image/png",
	".ppt":         "application/vnd.ms-powerpoint",
	".pptx":        "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".rss":         "application/rss+xml",
	".rtf":         "application/rtf",
	".svg":         "image/svg+xml",
	".tar":         "application/x-tar",
	".tif":         "image/tiff",
	".tiff":        "image/tiff",
	".ts":          "video/mp2t",
	".tsv":         "text/tab-separated-values; charset=utf-8",
	".ttf":         "font/ttf",
	".txt":         "text/plain; charset=utf-8",
	".vcf":         "text/vcard; charset=utf-8",
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
	".xls":         "application/vnd.ms-excel",
	".xlsx":        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".xml":         "application/xml",
	".xsl":         "application/xslt+xml",
	".yaml":        "application/yaml",
	".yml":         "application/yaml",
	".zip":         "application/zip",
	".zst":         "application/zstd",
}

// Of returns the media type of content, whose first 512 bytes or more are head. A type that
// somebody has declared is believed only if it fits what head looks like. declared are
// types in the order of preference; wanted reports whether a type is acceptable. If none is,
// Of returns the type that head looks like.
func Of(head []byte, wanted func(mediaType string) bool, declared ...string) string {
	looks := bare(http.DetectContentType(head))
	first := ""
	for _, candidate := range declared {
		candidate = bare(candidate)
		if candidate == "" || candidate == Unknown || !fits(candidate, looks) {
			continue
		}
		if wanted(candidate) {
			return candidate
		}
		if first == "" {
			first = candidate
		}
	}
	if first == "" || wanted(looks) {
		return looks
	}
	return first
}

// bare returns a media type in lower case without parameters, or "".
func bare(mediaType string) string {
	parsed, _, err := mime.ParseMediaType(mediaType)
	if err != nil {
		return ""
	}
	return parsed
}

// fits reports whether content that looks like one media type may be of another.
func fits(candidate, looks string) bool {
	kind, name, _ := strings.Cut(candidate, "/")
	switch looks {
	case candidate:
		return true
	case Unknown: // what has a signature would look like itself
		return !hasSignature[candidate] && !isText(candidate)
	case "text/plain":
		return isText(candidate)
	case "text/xml":
		return candidate == "application/xml" || strings.HasSuffix(candidate, "+xml")
	case "application/zip":
		return kind == "application" && (strings.HasPrefix(name, "vnd.") || strings.HasSuffix(name, "+zip") || name == "java-archive" || name == "x-zip-compressed")
	case "application/x-gzip":
		return candidate == "application/gzip"
	case "application/ogg":
		return candidate == "audio/ogg" || candidate == "video/ogg"
	case "audio/wave":
		return candidate == "audio/wav" || candidate == "audio/x-wav"
	case "image/x-icon":
		return candidate == "image/vnd.microsoft.icon"
	}
	return (looks == "video/mp4" || looks == "video/webm") && kind == "audio" && strings.HasSuffix(looks, "/"+name)
}

// isText reports whether content of a media type is text.
func isText(mediaType string) bool {
	switch mediaType {
	case "application/json", "application/xml", "application/javascript", "application/yaml", "application/x-ndjson", "application/rtf", "message/rfc822":
		return true
	}
	return strings.HasPrefix(mediaType, "text/") || strings.HasSuffix(mediaType, "+json") || strings.HasSuffix(mediaType, "+xml")
}

// hasSignature has the media types that content of looks like (MIME Sniffing standard,
// section 6).
var hasSignature = map[string]bool{
	"image/png": true, "image/jpeg": true, "image/gif": true, "image/webp": true, "image/bmp": true, "image/x-icon": true,
	"image/vnd.microsoft.icon": true, "application/pdf": true, "application/zip": true, "application/x-zip-compressed": true,
	"application/x-gzip": true, "application/gzip": true, "application/x-rar-compressed": true, "application/wasm": true,
	"application/ogg": true, "audio/ogg": true, "video/ogg": true, "audio/wave": true, "audio/wav": true, "audio/x-wav": true,
	"audio/aiff": true, "audio/midi": true, "video/avi": true, "video/webm": true, "audio/webm": true, "video/mp4": true,
	"font/woff": true, "font/woff2": true, "font/ttf": true, "font/otf": true, "application/postscript": true,
}
