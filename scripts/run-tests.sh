#!/usr/bin/env bash
# Runs all tests, in two processes side by side: much of what they do is waiting. With arguments: pytest with
# these, in one process.
#
# Usage: scripts/run-tests.sh PYTHON [PYTEST-ARGUMENT ...]
set -u
python=$1
shift
[ $# -eq 0 ] || exec "$python" -m pytest -q "$@"

log=$(mktemp)
"$python" -m pytest -q --ignore=tests/contract --ignore=tests/web --ignore=tests/unit/stores >"$log" 2>&1 &
beside=$!
trap 'kill "$beside" 2>/dev/null; rm -f "$log"' EXIT
trap 'exit 130' INT TERM

"$python" -m pytest -q tests/contract tests/web tests/unit/stores
status=$?
echo "Waiting for the other tests, which ran beside these ..."
wait "$beside" || status=$?
cat "$log"
exit "$status"
