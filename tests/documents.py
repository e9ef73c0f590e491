"""The code in the documents: found, and run as a reader would run it."""

import ast
import asyncio
import inspect
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).parents[1]


def code(document: Path, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(
        rf"^```{language}\n(.*?)^```", document.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL
    )


def tables(document: Path) -> list[list[dict[str, str]]]:
    """The tables of a document, each row by the names of its columns, without the marks of code."""
    text = document.read_text(encoding="utf-8").replace("\\|", "¦")
    found: list[list[dict[str, str]]] = []
    for block in re.findall(r"^\|.*\n\|[ -|]+\n(?:\|.*\n?)+", text, re.MULTILINE):
        head, _, *rows = [_cells(line) for line in block.strip().splitlines()]
        found.append([dict(zip(head, row, strict=True)) for row in rows])
    return found


def table(document: Path, *columns: str) -> list[dict[str, str]]:
    """The one table that has these columns."""
    (only,) = [rows for rows in tables(document) if rows and set(columns) <= set(rows[0])]
    return only


def quoted(cell: str) -> list[str]:
    """What is marked as code in a cell."""
    return re.findall(r"`([^`]+)`", cell)


@asynccontextmanager
async def page(document: Path) -> AsyncIterator[Any]:
    """Run the Python of a document, block after block, as one module; a block may await."""
    module = ModuleType(f"page_{document.stem.replace('-', '_')}")
    # Libraries look the annotations of a class up in its module.
    sys.modules[module.__name__] = module
    try:
        for number, block in enumerate(code(document, "python"), 1):
            name = f"<{document.name}, block {number}>"
            compiled = compile(block, name, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if compiled.co_flags & inspect.CO_COROUTINE:
                await eval(compiled, module.__dict__)
            else:
                # Programs are imported before a loop runs, and may read files.
                await asyncio.to_thread(exec, compiled, module.__dict__)
        yield module
    finally:
        del sys.modules[module.__name__]


def _cells(line: str) -> list[str]:
    return [cell.strip().replace("¦", "|") for cell in line.strip().strip("|").split("|")]
