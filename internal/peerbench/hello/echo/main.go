// Command echo is the least program with echo.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/labstack/echo/v5"
	"github.com/labstack/echo/v5/middleware"
)

func main() {
	e := echo.New()
	e.Use(middleware.RequestLogger(), middleware.Recover())
	e.GET("/", func(c *echo.Context) error { return c.String(http.StatusOK, "Hello, World") })
	log.Fatal(e.Start(os.Getenv("ADDR")))
}
