package main

// Express and Django, with -others: what programs in other languages take for the same
// work. Express comes by npm into a temporary folder; Django, gunicorn and psycopg are
// those that a Python of this machine has. Both have one process on the servers'
// processor, and the CPU time is that of all their processes.

import (
	"context"
	_ "embed"
	"encoding/json"
	"fmt"
	"html"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"syscall"
	"time"

	"github.com/seed-215b9b7c/backend/internal/peerbench/contestants"
)

var (
	//go:embed others/express.js
	expressProgram []byte
	//go:embed others/django_app.py
	djangoProgram []byte
)

// otherWork is the work that Express and Django do.
var otherWork = []string{"plain", "json", "row-pg", "fortunes-pg"}

// other is a program in another language.
type other struct {
	name string
	// prepare writes and installs the program in a folder, and returns its version and
	// the command that starts it.
	prepare func(ctx context.Context, folder string) (version string, command func(port, db string) *exec.Cmd, err error)
}

var others = []other{{"express", prepareExpress}, {"django", prepareDjango}}

func prepareExpress(ctx context.Context, folder string) (string, func(port, db string) *exec.Cmd, error) {
	program := filepath.Join(folder, "express.js")
	if err := os.WriteFile(program, expressProgram, 0o644); err != nil {
		return "", nil, err
	}
	install := exec.CommandContext(ctx, "npm", "install", "--no-audit", "--no-fund", "--prefix", folder, "express", "pg", "ejs")
	if out, err := install.CombinedOutput(); err != nil {
		return "", nil, fmt.Errorf("npm install express pg ejs: %w: %s", err, short(string(out)))
	}
	show := `for (const m of ["express", "pg", "ejs"])
	process.stdout.write(m + " " + JSON.parse(require("fs").readFileSync("node_modules/" + m + "/package.json")).version + ", ")
console.log("node " + process.version)`
	version := exec.CommandContext(ctx, "node", "-e", show)
	version.Dir = folder
	out, err := version.Output()
	return strings.TrimSpace(string(out)), func(port, db string) *exec.Cmd {
		command := exec.Command("node", program, port, db)
		command.Env = append(os.Environ(), "NODE_ENV=production", "TZ=UTC")
		return command
	}, err
}

// pythons are the programs that may have Django.
var pythons = []string{"python3", "/usr/bin/python3"}

func prepareDjango(ctx context.Context, folder string) (string, func(port, db string) *exec.Cmd, error) {
	if err := os.WriteFile(filepath.Join(folder, "django_app.py"), djangoProgram, 0o644); err != nil {
		return "", nil, err
	}
	show := `import django, gunicorn, psycopg2, sys; print("django " + django.__version__ + ", gunicorn " + gunicorn.__version__ + ", psycopg " + psycopg2.__version__.split()[0] + ", python " + sys.version.split()[0])`
	for _, python := range pythons {
		out, err := exec.CommandContext(ctx, python, "-c", show).Output()
		if err != nil {
			continue
		}
		return strings.TrimSpace(string(out)), func(port, db string) *exec.Cmd {
			// Threads keep connections open, which gunicorn's own kind of worker does not.
			command := exec.Command(python, "-m", "gunicorn.app.wsgiapp", "--workers", "1", "--worker-class", "gthread", "--threads", "8",
				"--bind", "127.0.0.1:"+port, "--chdir", folder, "django_app:application")
			command.Env = append(os.Environ(), "DATABASE_URL="+db, "TZ=UTC")
			return command
		}, nil
	}
	return "", nil, fmt.Errorf("skipped: install python3-django, gunicorn and python3-psycopg2")
}

// measureOthers compares this package with programs in other languages.
func measureOthers(ctx context.Context, d *databases, o options, versions map[string]string) (results []Result) {
	for _, one := range others {
		if !chosen(o.peers, one.name) || ctx.Err() != nil {
			continue
		}
		folder := filepath.Join(d.folder, one.name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			fmt.Printf("%-15s %v\n", one.name, err)
			continue
		}
		version, command, err := one.prepare(ctx, folder)
		if err != nil {
			fmt.Printf("%-15s %v\n", one.name, firstLine(err.Error()))
			continue
		}
		fmt.Printf("%-15s %s\n", one.name, version)
		versions[one.name] = version
		for _, name := range otherWork {
			w, err := workNamed(name)
			if err != nil || !chosen(o.only, name) || w.engine() == "pg" && d.server == "" {
				continue
			}
			r := compareOther(ctx, d, one.name, w, command)
			line(os.Stdout, r)
			results = append(results, r)
		}
	}
	return results
}

// compareOther measures in blocks of a second: what the kernel says about the processes
// counts hundredths of one.
func compareOther(ctx context.Context, d *databases, name string, w work, command func(port, db string) *exec.Cmd) (result Result) {
	m := &meeting{databases: d, work: w, settings: settings{pairs: 3, block: time.Second}}
	defer m.close()
	result = Result{Work: w.name, Peer: name}
	fail := func(err error) Result {
		result.Invalid = firstLine(err.Error())
		return result
	}
	if err := m.begin(ctx); err != nil {
		return fail(err)
	}
	b, err := startOther(ctx, d, name, w, command)
	if err != nil {
		return fail(err)
	}
	defer b.stop()
	if m.n, err = b.warmUp(m.block); err != nil {
		return fail(err)
	}
	if err := m.measurePairs(ctx, b, &result); err != nil {
		return fail(err)
	}
	return result
}

// startOther starts the program and checks its answers.
func startOther(ctx context.Context, d *databases, name string, w work, command func(port, db string) *exec.Cmd) (*runner, error) {
	db, err := d.open(ctx, "pg", "b")
	if err != nil {
		return nil, err
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return nil, err
	}
	process := command(port, db)
	process.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := onServerCPU(process.Start); err != nil {
		return nil, err
	}
	r := &runner{child: &child{name: name, addr: addr, process: process, foreign: true}, work: w}
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err == nil {
			_ = c.Close()
			break
		}
		if time.Since(begin) > 20*time.Second {
			r.stop()
			return nil, fmt.Errorf("%s does not listen: %w", name, err)
		}
	}
	loose := w
	loose.check = meaning(w)
	if err := golden(addr, loose); err != nil {
		r.stop()
		return nil, err
	}
	if r.client, err = newClient(addr); err != nil {
		r.stop()
		return nil, err
	}
	return r, nil
}

// meaning is a check for other languages, which may write 10.0 for 10, .000Z for Z and
// &#x27; for &#39;.
func meaning(w work) func(int, answer) error {
	return func(i int, a answer) error {
		switch w.name {
		case "row-pg":
			return sameDecoded(a, contestants.SeedItem(rowID(i)))
		case "json":
			return sameDecoded(a, contestants.Message{Message: contestants.Text})
		case "fortunes-pg":
			a.body = []byte(html.UnescapeString(string(a.body)))
			return same("text/html", html.UnescapeString(fortunesPage()))(i, a)
		}
		return w.check(i, a)
	}
}

// sameDecoded wants JSON that is decoded to a value.
func sameDecoded[T any](a answer, want T) error {
	var got T
	if err := json.Unmarshal(a.body, &got); err != nil || !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%q instead of %v", short(string(a.body)), want)
	}
	return hasType(a, jsonType)
}

// treeUsage returns the CPU time of a process and all that it has started.
func treeUsage(root int) (usage, error) {
	stats, err := filepath.Glob("/proc/[0-9]*/stat")
	if err != nil {
		return usage{}, err
	}
	parents, ticks := map[int]int{}, map[int]float64{}
	for _, path := range stats {
		text, err := os.ReadFile(path)
		if err != nil {
			continue // it has ended
		}
		pid, parent, spent, err := parseStat(string(text))
		if err != nil {
			return usage{}, err
		}
		parents[pid], ticks[pid] = parent, spent
	}
	if _, ok := parents[root]; !ok {
		return usage{}, fmt.Errorf("process %d has ended", root)
	}
	var total float64
	for pid := range parents {
		for p := pid; p != 0; p = parents[p] {
			if p == root {
				total += ticks[pid]
				break
			}
		}
	}
	const tick = 1e6 / 100 // µs: the kernel counts hundredths of a second for programs
	return usage{CPU: total * tick}, nil
}

// parseStat reads the parent of a process and its utime and stime, see proc(5).
func parseStat(text string) (pid, parent int, ticks float64, err error) {
	end := strings.LastIndexByte(text, ')') // of the name, which may have spaces
	if end < 0 {
		return 0, 0, 0, fmt.Errorf("%q is no stat", text)
	}
	if _, err = fmt.Sscan(text, &pid); err != nil {
		return 0, 0, 0, err
	}
	fields := strings.Fields(text[end+1:])
	if len(fields) < 13 {
		return 0, 0, 0, fmt.Errorf("%q is no stat", text)
	}
	var user, system float64
	_, err = fmt.Sscan(strings.Join([]string{fields[1], fields[11], fields[12]}, " "), &parent, &user, &system)
	return pid, parent, user + system, err
}
