package statement

// Size returns how many texts the set remembers, and how many bytes they have.
func (s *Set) Size() (texts, bytes int) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.queries), s.bytes
}
