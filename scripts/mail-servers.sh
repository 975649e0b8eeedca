#!/bin/sh
# Runs a command with Debian's Postfix and Exim at hand: takes their packages apart in a temporary folder, whose name the
# command finds in SAPA_MAIL_SERVERS, and removes it afterwards. Nothing is installed, and no service is started or changed.
#
#	scripts/mail-servers.sh go test -run MailServers ./channels/email
set -eu

if [ $# -eq 0 ]; then
	echo "usage: $0 COMMAND…" >&2
	exit 2
fi
for tool in apt-get dpkg; do
	if ! command -v $tool >/dev/null; then
		echo "This needs the packages of Debian or Ubuntu, and there is no $tool here." >&2
		exit 1
	fi
done

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
chmod 755 "$folder" # the servers' own accounts run programs in it

# The servers, a library that lets them find accounts which this machine does not have, and those libraries that they
# need and this machine lacks.
wanted="postfix exim4-daemon-light libnss-wrapper"
libraries=""
for package in $wanted; do
	uris=$(apt-get --print-uris -qq -y --no-install-recommends install "$package") || {
		echo "The package $package is not known here. Try: apt-get update" >&2
		exit 1
	}
	libraries="$libraries $(echo "$uris" | awk '$2 ~ /^lib/ { sub(/_.*/, "", $2); print $2 }')"
done
mkdir "$folder/packages"
chmod 777 "$folder/packages" # apt-get downloads as an account of its own
# shellcheck disable=SC2086 # words are packages
(cd "$folder/packages" && apt-get download -qq $(echo $wanted $libraries | tr ' ' '\n' | sort -u))
for package in "$folder"/packages/*.deb; do
	dpkg -x "$package" "$folder"
done
rm -r "$folder/packages"
SAPA_MAIL_SERVERS=$folder "$@"
