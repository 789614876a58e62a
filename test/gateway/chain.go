package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"time"
)

// chain is a client that refreshes its token again and again.
type chain struct {
	wire
	token string
}

func (c *chain) logIn(name string) error {
	_, err := c.form("/api/auth/bearer/token", url.Values{"username": {name}, "password": {password}})
	return err
}

// refresh says how long the answer took.
func (c *chain) refresh() (time.Duration, error) {
	return c.form("/api/auth/bearer/refresh", url.Values{"refresh_token": {c.token}})
}

func (c *chain) form(path string, values url.Values) (time.Duration, error) {
	body := values.Encode()
	began := time.Now()
	res := c.do(fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, len(body), body), "POST", false)
	took := time.Since(began)
	var out struct {
		Refresh string `json:"refresh_token"`
	}
	if err := json.Unmarshal([]byte(res.body), &out); err != nil || res.status != 200 || out.Refresh == "" || out.Refresh == c.token {
		return 0, fmt.Errorf("%s: status %d: %.200s", path, res.status, res.body)
	}
	c.token = out.Refresh
	return took, nil
}
