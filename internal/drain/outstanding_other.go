//go:build !linux

package drain

import "net"

func outstanding(net.Conn) int64 { return unknown }
