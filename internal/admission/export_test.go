package admission

// Load returns how many places are in use, and how many requests wait for one.
func (g *Gate) Load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.urgent.len + g.queue.len
}

// Clients returns how many clients are counted.
func (g *Gate) Clients() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.shares)
}

// Taken returns how many bytes are in use, and by how many clients.
func (m *Memory) Taken() (bytes int64, clients int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.taken, len(m.by)
}
