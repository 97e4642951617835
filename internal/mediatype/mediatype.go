// Package mediatype finds the media type of a file. What it says does not depend on the
// machine, as package mime does.
package mediatype

import (
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
