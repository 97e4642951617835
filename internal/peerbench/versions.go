package main

// What was measured, and where: the versions of the modules, and the machine.

import (
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
)

// measuredModules are those whose versions matter.
var measuredModules = []string{
	"github.com/gin-gonic/gin", "github.com/go-chi/chi/v5", "github.com/labstack/echo/v5", "github.com/gofiber/fiber/v3",
	"github.com/danielgtaylor/huma/v2", "github.com/julienschmidt/httprouter", "github.com/jackc/pgx/v5", "github.com/lib/pq",
	"github.com/jmoiron/sqlx", "gorm.io/gorm", "modernc.org/sqlite", "zombiezen.com/go/sqlite", "github.com/bytedance/sonic",
}

func versions() map[string]string {
	found := map[string]string{"go": runtime.Version()}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	for _, module := range info.Deps {
		if slices.Contains(measuredModules, module.Path) {
			found[module.Path] = module.Version
		}
	}
	return found
}

// machine names the processor.
func machine() string {
	text, _ := os.ReadFile("/proc/cpuinfo")
	for line := range strings.Lines(string(text)) {
		if name, value, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(name) == "model name" {
			return fmt.Sprintf("%d × %s", runtime.NumCPU(), strings.TrimSpace(value))
		}
	}
	return fmt.Sprintf("%d processors, %s", runtime.NumCPU(), runtime.GOARCH)
}
