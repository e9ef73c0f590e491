"""Runs the command as `python -m jumpseat.cli`."""

import sys

from jumpseat.cli.command import main

if __name__ == "__main__":
    sys.exit(main())
