// Command fiber is the least program with fiber.
package main

import (
	"log"
	"os"

	"github.com/gofiber/fiber/v3"
)

func main() {
	app := fiber.New()
	app.Get("/", func(c fiber.Ctx) error { return c.SendString("Hello, World") })
	log.Fatal(app.Listen(os.Getenv("ADDR"), fiber.ListenConfig{DisableStartupMessage: true}))
}
