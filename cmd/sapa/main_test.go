package main

import (
	"os"
	"testing"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) {
	if os.Getenv(drillEnv) != "" { // a process of a drill
		main()
	}
	pgtest.MainNoLeaks(m)
}
