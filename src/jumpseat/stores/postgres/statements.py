"""The SQL texts of the PostgreSQL store, read from its files and written for one schema."""

from __future__ import annotations

import re
from functools import cache
from importlib import resources
from typing import Final

from jumpseat.errors import ConfigurationError

__all__ = ["checked_schema", "migrations", "statements"]

_SCHEMA: Final = re.compile(r"[a-z_][a-z0-9_]{0,39}")
_SECTION: Final = re.compile(r"^-- (name|part): (\w+)\n", re.MULTILINE)
_OURS: Final = re.compile(r"\bjumpseat\.|'jumpseat")


def checked_schema(schema: object) -> str:
    """Return the name of a schema. Raises ``ConfigurationError`` unless it needs no quotes."""
    if not isinstance(schema, str) or not _SCHEMA.fullmatch(schema):
        raise ConfigurationError(
            f"schema must be a name of up to 40 lower-case letters, digits and underscores, not {schema!r}"
        )
    return schema


def _written_for(schema: str, text: str) -> str:
    return _OURS.sub(lambda found: found[0].replace("jumpseat", schema), text)


@cache
def statements(schema: str) -> dict[str, bytes]:
    """Return the text of every verb by its name."""
    folder = resources.files("jumpseat.stores.postgres") / "sql"
    pieces = _SECTION.split((folder / "verbs.sql").read_text(encoding="utf-8"))[1:]
    named = list(zip(pieces[::3], pieces[1::3], pieces[2::3], strict=True))
    parts = {name: text.strip() for kind, name, text in named if kind == "part"}
    return {
        name: _written_for(schema, text.strip().rstrip(";").format(**parts)).encode()
        for kind, name, text in named
        if kind == "name"
    }


@cache
def migrations(schema: str) -> list[bytes]:
    """Return the scripts that lead from an empty schema to the present one, in order."""
    folder = resources.files("jumpseat.stores.postgres") / "migrations"
    files = sorted((item for item in folder.iterdir() if item.name.endswith(".sql")), key=lambda f: f.name)
    return [_written_for(schema, file.read_text(encoding="utf-8")).encode() for file in files]
