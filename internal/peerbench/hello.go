package main

// The programs in the folder hello: their size, and how long they take to start.

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

// helloNames returns the programs that were chosen; there are no variants.
func helloNames(o options) (names []string) {
	for _, c := range o.contestants() {
		if !slices.Contains(names, c.Name) {
			names = append(names, c.Name)
		}
	}
	return names
}

// buildHellos builds the programs once.
func buildHellos(ctx context.Context, folder string, o options) error {
	for _, name := range helloNames(o) {
		program := filepath.Join(folder, "hello-"+name)
		if _, err := os.Stat(program); err == nil {
			continue
		}
		if err := o.buildHello(ctx, program, name); err != nil {
			return err
		}
	}
	return nil
}

func (o options) buildHello(ctx context.Context, program, name string) error {
	if name == againstName {
		return o.against.goBuild(ctx, program, "./hello/"+contestants.All[0].Name)
	}
	return goBuild(ctx, program, "./hello/"+name)
}

func helloSizes(ctx context.Context, d *databases, o options, report reportFunc) error {
	names := helloNames(o)
	if err := buildHellos(ctx, d.folder, o); err != nil {
		return err
	}
	for _, name := range names {
		info, err := os.Stat(filepath.Join(d.folder, "hello-"+name))
		if err != nil {
			return err
		}
		report(Figure{Contestant: name, Value: float64(info.Size()) / 1e6}, nil)
	}
	return nil
}

// helloStarts starts all programs in turn, 20 times.
func helloStarts(ctx context.Context, d *databases, o options, report reportFunc) error {
	names := helloNames(o)
	if err := buildHellos(ctx, d.folder, o); err != nil {
		return err
	}
	times, failed := map[string][]float64{}, map[string]error{}
	for range 20 {
		for _, name := range names {
			took, err := helloStart(ctx, filepath.Join(d.folder, "hello-"+name))
			if err != nil {
				failed[name] = err
				continue
			}
			times[name] = append(times[name], float64(took)/float64(time.Millisecond))
		}
	}
	for _, name := range names {
		if failed[name] != nil {
			report(Figure{Contestant: name}, failed[name])
			continue
		}
		report(Figure{Contestant: name, Value: median(times[name])}, nil)
	}
	return nil
}

// freeAddr returns an address of this machine that nobody listens on.
func freeAddr() (string, error) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return free.Addr().String(), free.Close()
}

// helloStart starts a program and returns how long it takes until it has answered.
func helloStart(ctx context.Context, program string) (time.Duration, error) {
	addr, err := freeAddr()
	if err != nil {
		return 0, err
	}
	command := exec.CommandContext(ctx, program)
	command.Env = append(os.Environ(), "ADDR="+addr)
	begin := time.Now()
	if err := onServerCPU(command.Start); err != nil {
		return 0, err
	}
	defer func() {
		_ = command.Process.Kill()
		_ = command.Wait()
	}()
	for time.Since(begin) < 10*time.Second {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			time.Sleep(200 * time.Microsecond)
			continue
		}
		one := newConn(c)
		a, err := one.do(request("GET", "/", "", ""), nil)
		took := time.Since(begin)
		_ = one.Close()
		if err != nil || a.status != 200 {
			return 0, fmt.Errorf("status %d, %w", a.status, err)
		}
		return took, nil
	}
	return 0, fmt.Errorf("%s does not answer", filepath.Base(program))
}
