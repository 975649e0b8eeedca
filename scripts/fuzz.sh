#!/bin/sh
# Runs each fuzz target below the folders that its arguments name for a time: scripts/fuzz.sh 60s segment
# What fails is written to testdata/fuzz of its package, where every later test finds it.
set -eu
time=$1
shift
grep -rn --include='*_test.go' '^func Fuzz' "$@" | sort | while IFS=: read -r file _ line; do
	target=${line#func }
	target=${target%%(*}
	echo "$(dirname "$file") $target"
	go test "./$(dirname "$file")" -run '^$' -fuzz "^$target\$" -fuzztime "$time" -fuzzminimizetime 5s -timeout 0 </dev/null
done
