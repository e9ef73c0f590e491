#!/bin/sh
# Builds the chat page where it is missing or older than its sources.
# With --if-possible a machine without Node.js gets a note instead of a failure: the API works without the page.
set -eu
cd "$(dirname "$0")/.."
built=src/jumpseat/cli/page/index.html
oldest_node=20

give_up() {
    echo "$1" >&2
    if [ "$optional" = yes ]; then
        echo "Going on without the chat page; the API works without it." >&2
        exit 0
    fi
    exit 1
}

optional=no
[ "${1:-}" = --if-possible ] && optional=yes

if [ -f "$built" ] && [ -z "$(find page -path page/node_modules -prune -o -type f -newer "$built" -print | head -n 1)" ]; then
    exit 0
fi

install="install Node.js $oldest_node or newer with npm (https://nodejs.org), then run: make page"
command -v node >/dev/null && command -v npm >/dev/null || give_up "The chat page needs Node.js to be built: $install"
version=$(node --version | sed 's/^v//')
[ "${version%%.*}" -ge "$oldest_node" ] || give_up "The chat page cannot be built with Node.js $version: $install"

echo "Building the chat page (the first time takes a minute or two) ..."
npm --prefix page install --legacy-peer-deps --no-audit --no-fund --no-package-lock --loglevel=error --no-progress \
    || give_up "npm could not install what the chat page is built from; its message is above."
npm --prefix page run --silent build -- --logLevel error \
    || give_up "The chat page could not be built; the message is above."
touch "$built"
