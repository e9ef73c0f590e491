#!/bin/sh
# Makes sure of the programs that the tests drive: Node.js with npm, and Chromium.
# Installs Chromium where it may (root on Debian or Ubuntu); otherwise says what is missing and fails.
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

if ! has_chromium; then
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
        echo "Installing Chromium ..."
        export DEBIAN_FRONTEND=noninteractive
        apt-get update -qq
        apt-get install -y -qq --no-install-recommends chromium >/dev/null
    fi
    has_chromium || fail "Chromium: install it (on Debian: apt-get install chromium) and run make test again."
fi
