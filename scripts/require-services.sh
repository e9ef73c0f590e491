#!/bin/sh
# Makes sure of the programs that the tests drive: Node.js with npm, Chromium, PostgreSQL, PgBouncer, Redis
# and nginx.
# Installs all but Node.js where it may (root on Debian or Ubuntu); otherwise says what is missing and fails.
set -eu
oldest_node=20

fail() {
    echo "The tests need $1" >&2
    exit 1
}

command -v node >/dev/null && command -v npm >/dev/null \
    || fail "Node.js $oldest_node or newer with npm: install it (https://nodejs.org) and run make test again."
version=$(node --version | sed 's/^v//')
[ "${version%%.*}" -ge "$oldest_node" ] || fail "Node.js $oldest_node or newer, and here is $version (https://nodejs.org)."

has_chromium() {
    [ -n "${JUMPSEAT_CHROMIUM:-}" ] && return 0
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 0
    echo "Installing $1 ..."
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -y -qq --no-install-recommends "$1" >/dev/null
}

if ! has_chromium; then
    install chromium
    has_chromium || fail "Chromium: install it (on Debian: apt-get install chromium) and run make test again."
fi

# Only the programs are used: the tests start servers of their own, on ports and in folders of their own.
has_postgres() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

if ! has_postgres; then
    install postgresql
    has_postgres || fail "PostgreSQL 13 or newer: install it (on Debian: apt-get install postgresql) and run make test again."
fi

if ! command -v pgbouncer >/dev/null; then
    install pgbouncer
    command -v pgbouncer >/dev/null \
        || fail "PgBouncer: install it (on Debian: apt-get install pgbouncer) and run make test again."
fi

if ! command -v redis-server >/dev/null; then
    install redis-server
    command -v redis-server >/dev/null \
        || fail "Redis 6.2 or newer: install it (on Debian: apt-get install redis-server) and run make test again."
fi

# Where it is installed, only root looks for programs.
has_nginx() {
    command -v nginx >/dev/null || [ -x /usr/sbin/nginx ]
}

if ! has_nginx; then
    install nginx
    has_nginx || fail "nginx 1.18 or newer: install it (on Debian: apt-get install nginx) and run make test again."
fi
