// Command gin is the least program with gin.
package main

import (
	"log"
	"net/http"
	"os"

	"github.com/gin-gonic/gin"
)

func main() {
	gin.SetMode(gin.ReleaseMode)
	r := gin.Default()
	r.GET("/", func(c *gin.Context) { c.String(http.StatusOK, "Hello, World") })
	log.Fatal(r.Run(os.Getenv("ADDR")))
}
