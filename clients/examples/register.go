// Keep a service registered: register, send heartbeats, register again when Saga has forgotten it, deregister on
// SIGTERM. Usage: SAGA_URL=http://127.0.0.1:8030 SAGA_TOKEN=… go run register.go NAME URL
package main

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

var (
	api    = setting("SAGA_URL", "http://127.0.0.1:8030") + "/api/v1"
	client = &http.Client{Timeout: 5 * time.Second}
)

func setting(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// call returns the status, or 0 where there is no answer: the service must not fail because Saga is away.
func call(method, path string, body any) int {
	text, _ := json.Marshal(body)
	if body == nil {
		text = nil
	}
	request, err := http.NewRequest(method, api+path, bytes.NewReader(text))
	if err != nil {
		return 0
	}
	request.Header.Set("Content-Type", "application/json")
	if token := os.Getenv("SAGA_TOKEN"); token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	answer, err := client.Do(request)
	if err != nil {
		return 0
	}
	answer.Body.Close()
	return answer.StatusCode
}

func main() {
	name, address := os.Args[1], os.Args[2]
	path := "/services/" + url.PathEscape(name)
	register := func() int {
		return call("POST", "/services/register", map[string]any{"service_name": name, "service_url": address, "ttl": 60})
	}
	seconds, err := strconv.ParseFloat(setting("HEARTBEAT_SECONDS", "20"), 64)
	if err != nil {
		panic(err)
	}
	ended := make(chan os.Signal, 1)
	signal.Notify(ended, syscall.SIGTERM, syscall.SIGINT)

	register()
	ticker := time.NewTicker(time.Duration(seconds * float64(time.Second)))
	for {
		select {
		case <-ticker.C:
			if status := call("POST", path+"/heartbeat", nil); status == 400 || status == 404 {
				register() // Saga has forgotten it
			}
		case <-ended:
			call("DELETE", path+"?instance_id=default", nil)
			return
		}
	}
}
