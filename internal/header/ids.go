package header

// maxRequestID is the length of the longest valid request id.
const maxRequestID = 64

// ValidRequestID reports whether a request id of a client can be used: 1 to 64
// letters, digits, '.', '_' and '-'.
func ValidRequestID(id string) bool {
	if id == "" || len(id) > maxRequestID {
		return false
	}
	for i := range len(id) {
		if c := id[i]; !isAlphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// TraceID returns the trace id of a traceparent field, or "" if there is not
// exactly one line or the line is not valid by W3C Trace Context, section 3.2:
// version, trace id, parent id and flags in lower-case hex, neither id all
// zeros, and in version 00 nothing after the flags. In later versions more may
// follow after a dash.
func TraceID(lines []string) string {
	const length = len("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if len(lines) != 1 || len(lines[0]) < length {
		return ""
	}
	s := lines[0]
	version, trace, parent, flags := s[:2], s[3:35], s[36:52], s[53:55]
	switch {
	case s[2] != '-' || s[35] != '-' || s[52] != '-':
		return ""
	case !isLowerHex(version) || !isLowerHex(trace) || !isLowerHex(parent) || !isLowerHex(flags):
		return ""
	case version == "ff" || isZero(trace) || isZero(parent):
		return ""
	case len(s) > length && (version == "00" || s[length] != '-'):
		return ""
	}
	return trace
}

func isLowerHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; !('0' <= c && c <= '9' || 'a' <= c && c <= 'f') {
			return false
		}
	}
	return true
}

func isZero(s string) bool {
	for i := range len(s) {
		if s[i] != '0' {
			return false
		}
	}
	return true
}
