package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"
)

// maxSecretInput bounds what is read of a secret from stdin or a file.
const maxSecretInput = 64 << 10

// terminal gives stdin when it is one.
func (e *env) terminal() (*os.File, bool) {
	f, ok := e.in.(*os.File)
	if !ok || !term.IsTerminal(int(f.Fd())) {
		return nil, false
	}
	return f, true
}

// passwordFlags say where a password comes from. There is no flag for the
// password itself: every user of the machine can read the process list, and
// the shell keeps a history.
type passwordFlags struct {
	PasswordStdin bool `xor:"password" help:"Read the password from the first line of stdin."`
	Generate      bool `xor:"password" help:"Make a password and show it once."`
}

// password asks for a new password twice, or reads it from stdin. It is ""
// when it is to be generated.
func (e *env) password(f *passwordFlags, whose string) (string, error) {
	if f.Generate {
		return "", nil
	}
	tty, ok := e.terminal()
	if f.PasswordStdin || !ok {
		if !f.PasswordStdin {
			return "", usagef("stdin is not a terminal, so nobody can be asked for a password. Give --password-stdin or --generate")
		}
		return e.firstLine()
	}
	first, err := e.ask(tty, fmt.Sprintf("New password for %s: ", plain(whose)))
	if err != nil {
		return "", err
	}
	again, err := e.ask(tty, "The same again: ")
	if err != nil {
		return "", err
	}
	if first != again {
		return "", errors.New("the two passwords differ. Nothing was changed, try again")
	}
	if first == "" {
		return "", errors.New("the password is empty. Nothing was changed")
	}
	return first, nil
}

func (e *env) firstLine() (string, error) {
	in := bufio.NewReader(io.LimitReader(e.in, maxSecretInput))
	line, err := await(e.ctx, func() (string, error) { return in.ReadString('\n') })
	if errors.Is(err, errInterrupted) {
		return "", err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("reading the password from stdin: %w", err)
	}
	line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
	if line == "" {
		return "", usagef("the first line of stdin is empty; --password-stdin takes the password from there")
	}
	return line, nil
}

// ask reads a line without echo. An interrupt puts the terminal back first:
// a shell whose typing stays invisible is a bad memory of a program.
func (e *env) ask(tty *os.File, prompt string) (string, error) {
	fd := int(tty.Fd())
	state, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("asking for a password: %w", err)
	}
	_, _ = io.WriteString(e.err, prompt) // without stderr there is no prompt, and still an answer
	text, err := await(e.ctx, func() ([]byte, error) { return term.ReadPassword(fd) })
	_, _ = io.WriteString(e.err, "\n") // the typed line break was not shown
	if errors.Is(err, errInterrupted) {
		return "", errors.Join(err, term.Restore(fd, state))
	}
	if err != nil {
		return "", fmt.Errorf("asking for a password: %w", err)
	}
	return string(text), nil
}

var errInterrupted = errors.New("interrupted. Nothing was changed")

// await runs a read that cannot be cancelled and stops waiting for it when
// ctx ends. The signal that ends ctx is caught, so without this a prompt would
// ignore Ctrl-C.
func await[T any](ctx context.Context, read func() (T, error)) (T, error) {
	type answer struct {
		v   T
		err error
	}
	got := make(chan answer, 1)
	go func() {
		v, err := read()
		got <- answer{v, err}
	}()
	select {
	case a := <-got:
		return a.v, a.err
	case <-ctx.Done():
		var none T
		return none, errInterrupted
	}
}

// confirmFlag skips the question.
type confirmFlag struct {
	Yes bool `short:"y" help:"Do not ask."`
}

// confirm asks before something that cannot be undone. Without a terminal
// there must be --yes.
func (e *env) confirm(f confirmFlag, what string) error {
	if f.Yes {
		return nil
	}
	tty, ok := e.terminal()
	if !ok {
		return usagef("%s cannot be undone, and stdin is not a terminal to ask. Give --yes", plain(what))
	}
	_, _ = fmt.Fprintf(e.err, "%s%s cannot be undone. Go on? [y/N] ", strings.ToUpper(what[:1]), plain(what[1:])) // see ask
	in := bufio.NewReader(tty)
	line, err := await(e.ctx, func() (string, error) { return in.ReadString('\n') })
	if errors.Is(err, errInterrupted) {
		_, _ = io.WriteString(e.err, "\n") // see ask
		return err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return fmt.Errorf("asking: %w", err)
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return errors.New("nothing was changed")
}

// readInput reads a file, or stdin for "" and "-".
func (e *env) readInput(path, what string) (string, error) {
	r := e.in
	if path != "" && path != "-" {
		f, err := os.Open(path)
		if err != nil {
			return "", fmt.Errorf("reading %s: %w", what, err)
		}
		defer func() { _ = f.Close() }() // read only: nothing to lose
		r = f
	} else if _, ok := e.terminal(); ok {
		e.note("Reading %s from stdin; end with Ctrl-D.", what)
	}
	b, err := await(e.ctx, func() ([]byte, error) { return io.ReadAll(io.LimitReader(r, maxSecretInput+1)) })
	if errors.Is(err, errInterrupted) {
		return "", err
	}
	if err != nil {
		return "", fmt.Errorf("reading %s: %w", what, err)
	}
	if len(b) > maxSecretInput {
		return "", fmt.Errorf("reading %s: it is larger than %d KiB", what, maxSecretInput>>10)
	}
	text := strings.TrimSpace(string(b))
	if text == "" {
		return "", usagef("%s is missing: stdin is empty", what)
	}
	return text, nil
}
