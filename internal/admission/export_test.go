package admission

// Load returns how many places are in use, and how many requests wait for one.
func (g *Gate) Load() (running, waiting int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.running, g.urgent.len + g.queue.len
}

// Taken returns how many bytes are in use.
func (m *Memory) Taken() int64 { return m.taken.Load() }
