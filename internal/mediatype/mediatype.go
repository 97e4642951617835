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
func IsActive(mediaType string) bool {
	return mediaType == "text/html" || mediaType == "text/xml" || mediaType == "application/xml" ||
		strings.HasSuffix(mediaType, "+xml") || mediaType == "multipart/related" || mediaType == "text/xsl"
}

var byExtension = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".xhtml": "application/xhtml+xml",
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".jsonld": "application/ld+json", ".ndjson": "application/x-ndjson",
	".webmanifest": "application/manifest+json", ".wasm": "application/wasm", ".xml": "application/xml",
	".txt": "text/plain; charset=utf-8", ".log": "text/plain; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".tsv": "text/tab-separated-values; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".ics": "text/calendar; charset=utf-8",
	".vcf": "text/vcard; charset=utf-8", ".vtt": "text/vtt; charset=utf-8", ".yaml": "application/yaml", ".yml": "application/yaml",
	".rss": "application/rss+xml", ".atom": "application/atom+xml", ".eml": "message/rfc822",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".apng": "image/apng", ".bmp": "image/bmp", ".ico": "image/x-icon", ".tif": "image/tiff",
	".tiff": "image/tiff", ".heic": "image/heic", ".jxl": "image/jxl",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".aac": "audio/aac", ".oga": "audio/ogg", ".ogg": "audio/ogg", ".opus": "audio/ogg",
	".wav": "audio/wav", ".flac": "audio/flac", ".weba": "audio/webm",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime", ".mkv": "video/matroska",
	".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip", ".tar": "application/x-tar", ".zst": "application/zstd",
	".7z": "application/x-7z-compressed", ".epub": "application/epub+zip", ".rtf": "application/rtf", ".parquet": "application/vnd.apache.parquet",
	".doc": "application/msword", ".xls": "application/vnd.ms-excel", ".ppt": "application/vnd.ms-powerpoint",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".odt":  "application/vnd.oasis.opendocument.text", ".ods": "application/vnd.oasis.opendocument.spreadsheet",
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
