"""Where in an application a URL points: mount prefixes removed, segments decoded, strictly."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import quote, unquote

from starlette.types import Scope

__all__ = ["RequestPath", "decode_segments", "request_path"]

_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RequestPath:
    """A request's path.

    Attributes:
        full: As it came: percent-encoded, with mount prefixes.
        segments: Decoded, below the mount point and the base path; ``None`` when it lies elsewhere, or
            cannot be decoded.
    """

    full: str
    segments: tuple[str, ...] | None


def request_path(scope: Scope, base_path: str) -> RequestPath:
    """Return where a request points in an application with this ``base_path``.

    A server or framework may give the path with or without its ``root_path``, and the application may be
    mounted at the prefix that it also has as ``base_path``: all of these are understood.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "").rstrip("/")
    below = path[len(root) :] if _begins(path, root) else path
    whole = path if _begins(path, root) else root + path
    raw_whole = _raw(scope, path, whole)
    segments = _pieces(raw_whole) if raw_whole is not None else _pieces(whole)
    depth = len(_pieces(whole)) - len(_pieces(below))
    base = tuple(_pieces(base_path))
    decoded = decode_segments(segments) if raw_whole is not None else _checked(segments)
    full = raw_whole if raw_whole is not None else quote(whole)
    if decoded is None:
        return RequestPath(full, None)
    for candidate in (decoded[depth:], decoded):
        if candidate[: len(base)] == base:
            return RequestPath(full, candidate[len(base) :])
    return RequestPath(full, None)


def decode_segments(segments: Sequence[str]) -> tuple[str, ...] | None:
    """Return percent-encoded segments decoded, ``None`` if one holds what no path parameter may."""
    decoded: list[str] = []
    for segment in segments:
        if _BAD_ESCAPE.search(segment):
            return None
        try:
            decoded.append(unquote(segment, errors="strict"))
        except UnicodeDecodeError:
            return None
    return _checked(decoded)


def _checked(segments: Sequence[str]) -> tuple[str, ...] | None:
    if any(_CONTROL.search(segment) for segment in segments):
        return None
    return tuple(segments)


def _raw(scope: Scope, path: str, whole: str) -> str | None:
    """Return the encoded form of the whole path, ``None`` when the server gave none that fits."""
    raw_path: bytes | None = scope.get("raw_path")
    if not raw_path:
        return None
    raw = raw_path.partition(b"?")[0].decode("latin-1")
    decoded = unquote(raw)
    if decoded == whole:
        return raw
    if decoded == path:
        return quote(whole[: len(whole) - len(path)]) + raw
    return None


def _begins(path: str, prefix: str) -> bool:
    return not prefix or path == prefix or path.startswith(prefix + "/")


def _pieces(path: str) -> list[str]:
    return [segment for segment in path.split("/") if segment]
