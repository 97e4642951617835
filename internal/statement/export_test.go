package statement

// Size returns how many texts the set remembers, and about how many bytes they take.
func (s *Set) Size() (texts, bytes int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.queries), s.bytes
}
