package main

// The parent's side of a contestant's process: starting it on the processor of the
// servers, asking what it has used, and ending it.

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// child is a running contestant.
type child struct {
	name    string
	addr    string
	process *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
	log     string
	foreign bool // another program, which takes no commands
}

var children atomic.Int64 // numbers the log files

// start starts a contestant for some work with a database, and waits until it listens.
// Log files are made in the folder.
func start(c contestants.Contestant, work, db, folder string) (*child, error) {
	program, serves := c.Program, contestants.All[0].String()
	if program == "" {
		own, err := os.Executable()
		if err != nil {
			return nil, err
		}
		program, serves = own, c.String()
	}
	log := filepath.Join(folder, fmt.Sprintf("%s-%d.log", c, children.Add(1)))
	run := &child{name: c.String(), log: log}
	run.process = exec.Command(program, "serve", serves, work, db, log)
	run.process.Env = append(os.Environ(), "TZ=UTC", "GOMAXPROCS=")
	errors, err := os.Create(log + ".stderr")
	if err != nil {
		return nil, err
	}
	defer func() { _ = errors.Close() }()
	run.process.Stderr = errors
	if run.input, err = run.process.StdinPipe(); err != nil {
		return nil, err
	}
	output, err := run.process.StdoutPipe()
	if err != nil {
		return nil, err
	}
	run.output = bufio.NewReader(output)
	if err := onServerCPU(run.process.Start); err != nil {
		return nil, err
	}
	line, err := run.output.ReadString('\n')
	if err != nil {
		run.stop()
		text, _ := os.ReadFile(log + ".stderr")
		return nil, fmt.Errorf("%s ended: %s", c, firstLine(string(text)))
	}
	run.addr = line[:len(line)-1]
	return run, nil
}

// ask sends a command to the contestant, and returns what it has used.
func (c *child) ask(command string) (usage, error) {
	if c.foreign {
		return treeUsage(c.process.Process.Pid)
	}
	var u usage
	if _, err := fmt.Fprintln(c.input, command); err != nil {
		return u, fmt.Errorf("%s has ended: %w", c.name, err)
	}
	line, err := c.output.ReadBytes('\n')
	if err != nil {
		return u, fmt.Errorf("%s has ended: %w", c.name, err)
	}
	return u, json.Unmarshal(line, &u)
}

// stop ends the process by ending its input, and kills it if that does not help.
func (c *child) stop() {
	if c.foreign {
		_ = unix.Kill(-c.process.Process.Pid, unix.SIGKILL) // its group
		_ = c.process.Wait()
		return
	}
	_ = c.input.Close()
	timer := time.AfterFunc(5*time.Second, func() { _ = c.process.Process.Kill() })
	defer timer.Stop()
	_ = c.process.Wait()
	_ = os.Remove(c.log) // it may be long
}

// processors returns those that this process might use at its start.
var processors = sync.OnceValues(func() (list []int, err error) {
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		return nil, err
	}
	for i := range 8 * int(unsafe.Sizeof(set)) {
		if set.IsSet(i) {
			list = append(list, i)
		}
	}
	return list, nil
})

// pinClient binds this process to the first processor.
func pinClient() error {
	list, err := processors()
	if err != nil {
		return err
	}
	runtime.GOMAXPROCS(1)
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return err
	}
	var set unix.CPUSet
	set.Set(list[0])
	for _, task := range tasks {
		var id int
		if _, err := fmt.Sscan(task.Name(), &id); err != nil {
			return err
		}
		if err := unix.SchedSetaffinity(id, &set); err != nil && err != unix.ESRCH {
			return err
		}
	}
	return nil
}

// onServerCPU calls f, which starts a process, so that the process is bound to the
// processor of the servers, the last one.
func onServerCPU(f func() error) error {
	list, err := processors()
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var before, set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &before); err != nil {
		return err
	}
	set.Set(list[len(list)-1])
	if err := unix.SchedSetaffinity(0, &set); err != nil {
		return err
	}
	err = f()
	if back := unix.SchedSetaffinity(0, &before); err == nil {
		err = back
	}
	return err
}
