//go:build race

package attack_test

// raceDetector says that memory and time are not the server's own.
const raceDetector = true
