# Shorthands; everything here is a script or a Go command that works without make.
.PHONY: build test lint bench kill
build:
	CGO_ENABLED=0 go build -trimpath -o bin/sallyport ./cmd/sallyport
test:
	./scripts/test
lint:
	./scripts/lint
bench:
	./scripts/bench
kill:
	go run ./test/kill
