package main

// Another checkout of this package as a peer, with -against: this program is built with
// it once more, and serves "backend" from there.

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

const (
	ownModule   = "github.com/seed-215b9b7c/backend"
	againstName = "against"
)

// checkout is a folder with another checkout of this package. The zero value is none.
type checkout struct {
	dir     string
	mod     string // the go.mod that takes this package from dir, after build
	program string // this program with that package, after build
}

// contestant returns the peer.
func (c *checkout) contestant() contestants.Contestant {
	return contestants.Contestant{Name: againstName, Program: c.program}
}

// build builds this program with the checkout, in a folder where nothing else is.
func (c *checkout) build(ctx context.Context, folder string) error {
	dir, err := filepath.Abs(c.dir)
	if err != nil {
		return err
	}
	c.mod = filepath.Join(folder, againstName+".mod")
	c.program = filepath.Join(folder, againstName)
	for from, to := range map[string]string{"go.mod": c.mod, "go.sum": strings.TrimSuffix(c.mod, ".mod") + ".sum"} {
		text, err := os.ReadFile(from)
		if err != nil {
			return fmt.Errorf("run it in internal/peerbench: %w", err)
		}
		if err := os.WriteFile(to, text, 0o644); err != nil {
			return err
		}
	}
	if out, err := exec.CommandContext(ctx, "go", "mod", "edit", "-replace="+ownModule+"="+dir, c.mod).CombinedOutput(); err != nil {
		return fmt.Errorf("-against %s: go mod edit: %w\n%s", c.dir, err, out)
	}
	if err := c.goBuild(ctx, c.program, "."); err != nil {
		return fmt.Errorf("-against %s: this program cannot be built with the checkout: it may be too old to have all that contestants/backend.go uses: %w", c.dir, err)
	}
	return nil
}

// goBuild builds a program of this module with the checkout, which may need other
// versions of modules.
func (c *checkout) goBuild(ctx context.Context, program, pkg string) error {
	return goBuild(ctx, program, pkg, "-mod=mod", "-modfile="+c.mod)
}

// version names the commit.
func (c *checkout) version(ctx context.Context) string {
	out, err := exec.CommandContext(ctx, "git", "-C", c.dir, "describe", "--always", "--dirty").Output()
	if err != nil {
		return c.dir
	}
	return strings.TrimSpace(string(out))
}

// goBuild builds a program of this module. The error has what the compiler says.
func goBuild(ctx context.Context, program, pkg string, flags ...string) error {
	args := append([]string{"build", "-o", program}, flags...)
	out, err := exec.CommandContext(ctx, "go", append(args, pkg)...).CombinedOutput()
	if err != nil {
		return errors.Join(fmt.Errorf("go build %s: %w", pkg, err), errors.New(strings.TrimSpace(string(out))))
	}
	return nil
}
