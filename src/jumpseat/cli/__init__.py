"""The `jumpseat` command: `jumpseat dev` for a person at work, `jumpseat serve` for a server."""

from __future__ import annotations

from jumpseat.cli.command import main

__all__ = ["main"]
