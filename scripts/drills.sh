#!/bin/sh
# Runs bin/sapa drill several times, each with a seed of its own, and stops at the first that fails: scripts/drills.sh 10
# Further arguments are the drill's: scripts/drills.sh 3 --messages 20000. CHANNEL=sms in the environment is its --channel. The
# last result stays in bench/results/drill.json, and a line for each drill in bench/results/drills.txt; of another channel than
# email, in drill-sms.json and drills-sms.txt.
set -eu
times=$1
shift
channel=${CHANNEL:-email}
suffix=
[ "$channel" = email ] || suffix=-$(echo "$channel" | tr , -)
json=bench/results/drill$suffix.json
table=bench/results/drills$suffix.txt
mkdir -p bench/results
printf '%10s %8s %8s %5s %5s %7s %7s %6s %5s %5s %5s %9s %7s\n' seed audience accepted lost twice unknown allowed after kills stops cut takeover seconds >"$table"
value() { sed -n "s/.*\"$1\":\([^,}]*\).*/\1/p" "$json"; }
n=0
while [ "$n" -lt "$times" ]; do
	n=$((n + 1))
	status=0
	bin/sapa drill --channel "$channel" --json "$json" "$@" || status=$?
	printf '%10s %8s %8s %5s %5s %7s %7s %6s %5s %5s %5s %9s %7s\n' "$(value seed)" "$(value audience)" "$(value accepted)" "$(value lost)" \
		"$(value duplicates)" "$(value unknown)" "$(value unknown_allowed)" "$(value unknown_after_resolve)" "$(value kills)" \
		"$(value stops)" "$(value cut)" "$(value takeover_seconds)" "$(value seconds)" >>"$table"
	[ "$status" -eq 0 ] || break
done
echo
cat "$table"
exit "$status"
