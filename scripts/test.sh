#!/bin/sh
# Runs the tests that its arguments name, with the race detector where a C compiler is at hand, as it needs one.
# A heap may grow to five times what is alive: collecting it is a seventh of the tests' time otherwise. "make lint" vets.
set -eu
export GOGC=400
if command -v "$(go env CC | cut -d' ' -f1)" >/dev/null 2>&1; then
	CGO_ENABLED=1 exec go test -race -vet=off -timeout 25m "$@"
fi
echo "No C compiler found: testing without the race detector. (Install gcc or clang to have it.)"
CGO_ENABLED=0 exec go test -vet=off -timeout 25m "$@"
