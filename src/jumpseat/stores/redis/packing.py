"""MessagePack as the server's Lua reads it: texts and bytes alike are strings; it knows no binary type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from struct import pack as _bytes_of
from typing import Any, cast

__all__ = ["packed"]

# Type bytes with the size in them, how large that may be, and those with the size in 1, 2 or 4 bytes behind.
_STRING = (0xA0, 31, 0xD9, 0xDA, 0xDB)
_LIST = (0x90, 15, None, 0xDC, 0xDD)
_MAP = (0x80, 15, None, 0xDE, 0xDF)


def packed(value: Any) -> bytes:
    """Return ``value``, made of JSON's types and bytes, in one string. Raises ``TypeError`` for others."""
    parts: list[bytes] = []
    _add(value, parts)
    return b"".join(parts)


def _add(value: Any, parts: list[bytes]) -> None:
    match value:
        case bytes():
            parts += (_header(len(value), _STRING), value)
        case str():
            text = value.encode("utf-8", "surrogatepass")
            parts += (_header(len(text), _STRING), text)
        case None:
            parts.append(b"\xc0")
        case bool():
            parts.append(b"\xc3" if value else b"\xc2")
        case int():
            parts.append(_bytes_of(">Bq", 0xD3, value) if value < 0 else _bytes_of(">BQ", 0xCF, value))
        case float():
            parts.append(_bytes_of(">Bd", 0xCB, value))
        case Mapping():
            _add_mapping(cast("Mapping[str, Any]", value), parts)
        case Sequence():
            _add_sequence(cast("Sequence[Any]", value), parts)
        case _:
            raise TypeError(f"{type(value).__name__} cannot be sent to a script")


def _add_mapping(value: Mapping[str, Any], parts: list[bytes]) -> None:
    parts.append(_header(len(value), _MAP))
    for key, item in value.items():
        _add(key, parts)
        _add(item, parts)


def _add_sequence(value: Sequence[Any], parts: list[bytes]) -> None:
    parts.append(_header(len(value), _LIST))
    for item in value:
        _add(item, parts)


def _header(size: int, kind: tuple[int, int, int | None, int, int]) -> bytes:
    """Return what says the type and the size: in the type's own byte up to ``most``, else behind it."""
    fixed, most, one, two, four = kind
    if size <= most:
        return bytes((fixed | size,))
    if one is not None and size < 1 << 8:
        return bytes((one, size))
    if size < 1 << 16:
        return _bytes_of(">BH", two, size)
    return _bytes_of(">BI", four, size)
