#!/bin/sh
# Makes sure that PostgreSQL's server programs are on this machine; installs them through the system's package manager
# where they are not. Sapa starts its own private server from them, so none needs to run.
set -eu

found() {
	for dir in "$(dirname "$(command -v initdb 2>/dev/null || echo /nonexistent/x)")" \
		"$(pg_config --bindir 2>/dev/null || echo /nonexistent)" \
		/usr/lib/postgresql/*/bin /usr/pgsql-*/bin /usr/libexec/postgresql* /usr/lib64/postgresql*/bin \
		/opt/homebrew/opt/postgresql*/bin /usr/local/opt/postgresql*/bin \
		/home/linuxbrew/.linuxbrew/opt/postgresql*/bin /opt/local/lib/postgresql*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin /usr/local/pgsql/bin /usr/local/bin; do
		if [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then return 0; fi
	done
	return 1
}

# as_root COMMAND…: with sudo where we are not root. Without a terminal nobody could type a password.
as_root() {
	if [ "$(id -u)" -eq 0 ]; then
		"$@"
	elif ! command -v sudo >/dev/null; then
		echo "PostgreSQL must be installed by root, and there is no sudo. As root run: make postgres" >&2
		exit 1
	elif [ -t 0 ]; then
		sudo "$@"
	else
		sudo -n "$@"
	fi
}

if found; then exit 0; fi
echo "No PostgreSQL server programs found; installing them through the system's package manager."
if command -v brew >/dev/null && [ "$(id -u)" -ne 0 ]; then
	brew install postgresql@17
elif command -v apt-get >/dev/null; then
	as_root apt-get update -qq
	as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends postgresql
elif command -v dnf >/dev/null; then
	as_root dnf install -y -q postgresql-server
elif command -v yum >/dev/null; then
	as_root yum install -y -q postgresql-server
elif command -v zypper >/dev/null; then
	as_root zypper --non-interactive --quiet install postgresql-server
elif command -v apk >/dev/null; then
	as_root apk add --quiet postgresql
elif command -v pacman >/dev/null; then
	as_root pacman -S --noconfirm --needed postgresql
else
	echo "No known package manager here. Install PostgreSQL 13 or later by hand: https://www.postgresql.org/download/" >&2
	exit 1
fi
if ! found; then
	echo "PostgreSQL was installed, but its programs initdb and postgres are in none of the usual folders. Put their folder on PATH." >&2
	exit 1
fi
echo "PostgreSQL is installed."
