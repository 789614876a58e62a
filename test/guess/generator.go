package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"time"
)

// The generators of the flood are processes of their own, one that refreshes
// and one that floods: what one of them does (collecting garbage, sending,
// being scheduled) must not stand in the times that the other measures. They
// send raw requests from one thread each, since they share the processors with
// the server. Between them and the command goes a line of JSON each way for
// each stretch.

// generatorEnv makes this program a generator: its value says which.
const generatorEnv = "SALLYPORT_GUESS_GENERATOR"

// order is what a generator is asked for one stretch.
type order struct {
	Addr   string
	Length time.Duration
	Rate   int // requests a second
	// Tokens begin the chains of the refreshing one, at its first order.
	Tokens []string
	// From and Cheap are for the flooding one; see guess.
	From  string
	Cheap bool
}

// yield is what came of it.
type yield struct {
	Error string
	// Times of refreshes, or of refusals by admission.
	Times []time.Duration
	CPU   time.Duration

	// Answered are those with a 4xx that is no refusal by admission.
	Sent, Unsent, Answered, Failed, NoRetryAfter int64
	FailedFirst                                  string
}

// generate is the whole life of a generator.
func generate(kind string, in io.Reader, out io.Writer) error {
	runtime.GOMAXPROCS(1)
	debug.SetGCPercent(1000) // it holds next to nothing
	var stretch func(order) yield
	switch kind {
	case "refresh":
		stretch = new(refresher).stretch
	case "flood":
		stretch = new(flooder).stretch
	default:
		return fmt.Errorf("%s is refresh or flood", generatorEnv)
	}
	dec, enc := json.NewDecoder(in), json.NewEncoder(out)
	for {
		var o order
		if err := dec.Decode(&o); err != nil {
			if errors.Is(err, io.EOF) {
				return nil
			}
			return err
		}
		before := processorTime(os.Getpid())
		y := stretch(o)
		y.CPU = processorTime(os.Getpid()) - before
		if err := enc.Encode(y); err != nil {
			return err
		}
	}
}

// generator is one as the command sees it.
type generator struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	enc *json.Encoder
	dec *json.Decoder
}

func startGenerator(ctx context.Context, kind string) (*generator, error) {
	exe, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, exe)
	cmd.Env = append(os.Environ(), generatorEnv+"="+kind)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting a generator: %w", err)
	}
	return &generator{cmd, in, json.NewEncoder(in), json.NewDecoder(out)}, nil
}

// begin hands an order over; result waits for what comes of it.
func (g *generator) begin(o order) error { return g.enc.Encode(o) }

func (g *generator) result() (y yield, err error) {
	if err := g.dec.Decode(&y); err != nil {
		return y, fmt.Errorf("a generator ended: %w", err)
	}
	if y.Error != "" {
		return y, errors.New(y.Error)
	}
	return y, nil
}

func (g *generator) end() error {
	return errors.Join(g.in.Close(), g.cmd.Wait())
}
