"""Reading a docstring: what it is about, and what it says of each parameter."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from typing import Final

__all__ = ["first_paragraph", "parameter_texts"]

_SECTION: Final = re.compile(
    r"(args|arguments|params|parameters|keyword args|keyword arguments|other parameters|attributes):?\s*",
    re.IGNORECASE,
)
_UNDERLINE: Final = re.compile(r"-{3,}\s*")
_GOOGLE_ENTRY: Final = re.compile(r"\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)")
_NUMPY_ENTRY: Final = re.compile(r"\*{0,2}(\w+(?:\s*,\s*\w+)*)\s*(?::.*)?")
_SPHINX_ENTRY: Final = re.compile(
    r":(?:param|parameter|arg|argument|ivar|var)\s+(?:[^:]*\s)?(\w+)\s*:\s*(.*)"
)
_FIELD: Final = re.compile(r":\w+[^:]*:")


def first_paragraph(docstring: str | None) -> str:
    """Return the docstring's first paragraph as one line; ``""`` when it begins with a section."""
    lines: list[str] = []
    for line in _lines(docstring):
        text = line.strip()
        if not text and lines:
            break
        if _SECTION.fullmatch(text) or _FIELD.match(text) or _UNDERLINE.fullmatch(text):
            # The title of an underlined section was taken for text.
            lines = lines[:-1] if _UNDERLINE.fullmatch(text) else lines
            break
        if text:
            lines.append(text)
    return " ".join(lines)


def parameter_texts(docstring: str | None) -> dict[str, str]:
    """Return what Google, NumPy or Sphinx sections of a docstring say of each name."""
    lines = _lines(docstring)
    found = dict(_sphinx(lines))
    for index, line in enumerate(lines):
        if not _SECTION.fullmatch(line.strip()):
            continue
        below = lines[index + 1 :]
        if below and _UNDERLINE.fullmatch(below[0].strip()):
            entries = _numpy(below[1:], _depth(line))
        elif line.rstrip().endswith(":"):
            entries = _google(below, _depth(line))
        else:
            continue
        for name, text in entries:
            found.setdefault(name, text)
    return {name: text for name, text in found.items() if text}


def _lines(docstring: str | None) -> list[str]:
    return inspect.cleandoc(docstring).splitlines() if docstring else []


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


def _google(lines: list[str], outer: int) -> Iterator[tuple[str, str]]:
    """Read entries that are indented below the section's title; deeper lines continue an entry."""
    inner: int | None = None
    name, words = "", list[str]()
    for line in lines:
        if not line.strip():
            continue
        depth = _depth(line)
        if depth <= outer:
            break
        inner = depth if inner is None else inner
        entry = _GOOGLE_ENTRY.fullmatch(line.strip()) if depth <= inner else None
        if entry is not None:
            yield name, " ".join(words)
            name, words = entry[1], [entry[2]] if entry[2] else []
        else:
            words.append(line.strip())
    yield name, " ".join(words)


def _numpy(lines: list[str], outer: int) -> Iterator[tuple[str, str]]:
    """Read entries that stand as deep as the section's title, their texts indented below them."""
    names: list[str] = []
    words: list[str] = []
    for index, line in enumerate(lines):
        text = line.strip()
        underlined = index + 1 < len(lines) and _UNDERLINE.fullmatch(lines[index + 1].strip())
        if not text:
            continue
        if _depth(line) > outer:
            words.append(text)
            continue
        entry = _NUMPY_ENTRY.fullmatch(text)
        if underlined or entry is None:
            break
        yield from ((name, " ".join(words)) for name in names)
        names, words = [name.strip() for name in entry[1].split(",")], []
    yield from ((name, " ".join(words)) for name in names)


def _sphinx(lines: list[str]) -> Iterator[tuple[str, str]]:
    """Read ``:param name: text`` fields; indented lines continue a field."""
    name, words = "", list[str]()
    for line in lines:
        entry = _SPHINX_ENTRY.fullmatch(line.strip())
        if entry is not None:
            yield name, " ".join(words)
            name, words = entry[1], [entry[2]] if entry[2] else []
        elif name and line.strip() and _depth(line) > 0 and not _FIELD.match(line.strip()):
            words.append(line.strip())
        elif name:
            yield name, " ".join(words)
            name, words = "", []
    yield name, " ".join(words)
