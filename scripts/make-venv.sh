#!/bin/sh
# Makes a virtual environment: make-venv.sh PYTHON FOLDER. Says what to install when it cannot.
set -eu
python=$1
folder=$2

if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
    found=$("$python" --version 2>&1) || found="no command '$python'"
    echo "Jumpseat needs Python 3.11 or newer, and here is $found." >&2
    echo "Install one (https://www.python.org/downloads/), or name it: make run PYTHON=/path/to/python3.11" >&2
    exit 1
fi
if ! "$python" -m venv "$folder"; then
    rm -rf "$folder"
    echo "Python could not make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv" >&2
    exit 1
fi
