package main

// The side of a contestant's process: it serves on a free port of this machine, says
// which, and answers the commands that come on its standard input. It ends with its
// input, so that none is left behind.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"syscall"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// usage is what a process has used so far.
type usage struct {
	CPU    float64 // µs of the processor, of the program and the kernel for it
	Allocs uint64  // heap objects
	Bytes  uint64  // of the heap
	RSS    int64   // bytes of memory that are resident now
}

// serve runs a contestant: serve NAME WORK DATABASE LOG.
func serve(args []string) error {
	if len(args) != 4 {
		return fmt.Errorf("usage: peerbench serve NAME WORK DATABASE LOG")
	}
	c, err := contestantNamed(args[0])
	if err != nil {
		return err
	}
	log, err := os.OpenFile(args[3], os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	failed := make(chan error, 1)
	go func() {
		failed <- c.Serve(contestants.Env{Work: args[1], DB: args[2], Log: log, Listener: listener})
	}()
	go func() {
		commands := bufio.NewScanner(os.Stdin)
		for commands.Scan() {
			if commands.Text() == "gc" {
				runtime.GC()
				debug.FreeOSMemory()
			}
			answer, _ := json.Marshal(used()) // numbers can be encoded
			fmt.Println(string(answer))
		}
		os.Exit(0)
	}()
	return <-failed
}

func contestantNamed(name string) (contestants.Contestant, error) {
	for _, c := range contestants.All {
		if c.String() == name {
			return c, nil
		}
	}
	return contestants.Contestant{}, fmt.Errorf("there is no contestant %q", name)
}

func used() usage {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		panic(err)
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return usage{float64(r.Utime.Nano()+r.Stime.Nano()) / 1e3, m.Mallocs, m.TotalAlloc, residentMemory("/proc/self/statm")}
}

// residentMemory reads the second number of a statm file, which counts pages.
func residentMemory(statm string) int64 {
	text, err := os.ReadFile(statm)
	if err != nil {
		return 0
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(text), &size, &resident); err != nil {
		return 0
	}
	return resident * int64(os.Getpagesize())
}
