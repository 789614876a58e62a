package main

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"strconv"
)

var (
	errStatus  = errors.New("not the status wanted")
	errContent = errors.New("the answer lacks what it must hold")
)

// fixed sends the same request again and again.
type fixed struct {
	raw  []byte
	must []byte // what the answer must hold
}

func (c *fixed) request(dst []byte) []byte { return append(dst, c.raw...) }

func (c *fixed) answer(status int, body []byte) error { return judge(status, body, c.must) }

func judge(status int, body, must []byte) error {
	if status != http.StatusOK {
		return errStatus
	}
	if !bytes.Contains(body, must) {
		return errContent
	}
	return nil
}

// get is a GET with a bearer token, "" for none.
func get(path, bearer, must string) *fixed {
	raw := "GET " + path + " HTTP/1.1\r\nHost: bench\r\n"
	if bearer != "" {
		raw += "Authorization: Bearer " + bearer + "\r\n"
	}
	return &fixed{[]byte(raw + "\r\n"), []byte(must)}
}

const (
	formType = "application/x-www-form-urlencoded"
	jsonType = "application/json"
)

// post is a POST of the same body each time.
func post(path, media, body, must string) *fixed {
	raw := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: bench\r\nContent-Type: %s\r\nContent-Length: %d\r\n\r\n%s", path, media, len(body), body)
	return &fixed{[]byte(raw), []byte(must)}
}

// chain follows its own refresh tokens: each answer gives the token of the
// next request.
type chain struct {
	path  string
	token []byte
	must  []byte
}

func (c *chain) request(dst []byte) []byte {
	const name = "refresh_token="
	dst = append(dst, "POST "...)
	dst = append(dst, c.path...)
	dst = append(dst, " HTTP/1.1\r\nHost: bench\r\nContent-Type: "+formType+"\r\nContent-Length: "...)
	dst = strconv.AppendInt(dst, int64(len(name)+len(c.token)), 10)
	dst = append(dst, "\r\n\r\n"+name...)
	return append(dst, c.token...)
}

var nextToken = []byte(`"refresh_token":"`)

func (c *chain) answer(status int, body []byte) error {
	if err := judge(status, body, c.must); err != nil {
		return err
	}
	_, rest, ok := bytes.Cut(body, nextToken)
	if !ok {
		return errContent
	}
	next, _, ok := bytes.Cut(rest, []byte{'"'})
	if !ok || bytes.Equal(next, c.token) {
		return errContent // a chain that stands still measures something else
	}
	c.token = append(c.token[:0], next...)
	return nil
}

// clientsOf makes n clients.
func clientsOf(n int, one func(i int) client) []client {
	list := make([]client, n)
	for i := range list {
		list[i] = one(i)
	}
	return list
}
