package main

import (
	"testing"

	"github.com/sapa-crm/sapa/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.MainNoLeaks(m) }
