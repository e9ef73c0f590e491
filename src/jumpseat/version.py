"""The version of the installed package."""

from __future__ import annotations

from importlib import metadata

__all__ = ["version"]


def version() -> str:
    """Return the version, ``0`` when Jumpseat runs from a folder that is not installed."""
    try:
        return metadata.version("jumpseat")
    except metadata.PackageNotFoundError:
        return "0"
