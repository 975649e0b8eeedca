//go:build !race

package main

// raceEnabled makes large tests smaller.
const raceEnabled = false
