"""What the guide to moving threads says: its commands are run one after the other, and so is its program."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from documents import ROOT, code, page, table, tables
from jumpseat import ImportReport, InMemoryAgentRunner, InvalidExport
from jumpseat.cli.arguments import parse
from jumpseat.stores.base import ThreadChange
from jumpseat.stores.lines import (
    CompleteLine,
    EndLine,
    EntryLine,
    EventsLine,
    GoneLine,
    HeaderLine,
    RunLine,
    ThreadLine,
)
from jumpseat.stores.postgres import PostgresStore
from jumpseat.stores.sqlite import SqliteStore
from jumpseat.testing.store_cases.dumps import branches, picture
from jumpseat.testing.store_cases.material import claimed, finish
from postgres_server import shared_server

GUIDE = ROOT / "docs" / "guides" / "moving-threads.md"
REFERENCE = ROOT / "docs" / "reference" / "export.md"
PROGRAM = """
from jumpseat import CopilotRuntime, SqliteAgentRunner

async def hello(input, context):
    yield {"type": "TEXT_MESSAGE_CHUNK", "delta": "hello"}

runtime = CopilotRuntime(agents={"default": hello}, runner=SqliteAgentRunner("threads.db"))
"""


@pytest.fixture
def database():
    server = shared_server()
    server.sql("DROP DATABASE IF EXISTS moving")
    server.sql("CREATE DATABASE moving")
    yield server.dsn("moving")
    server.sql("DROP DATABASE moving")


@pytest.fixture
async def shell(tmp_path: Path, database: str) -> Any:
    """Runs a block of the guide where its files are; returns what it said."""
    (tmp_path / "app.py").write_text(PROGRAM, encoding="utf-8")
    commands = tmp_path / "bin"
    commands.mkdir()
    (commands / "jumpseat").write_text(f'#!/bin/sh\nexec "{sys.executable}" -m jumpseat.cli "$@"\n')
    (commands / "jumpseat").chmod(0o755)
    path = f"{commands}{os.pathsep}{os.environ['PATH']}"

    async def run(block: str) -> str:
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-e", "-c", block],
            cwd=tmp_path,
            env={**os.environ, "PATH": path, "DATABASE_URL": database},
            capture_output=True,
            text=True,
            timeout=90,
            check=True,
        )
        return done.stderr

    return run


async def seen(store: Any, *thread_ids: str) -> list[Any]:
    await store.open()
    found = [await picture(store, None, thread_id) for thread_id in thread_ids]
    await store.aclose()
    return found


async def test_the_commands_of_the_guide_do_what_it_says(shell: Any, tmp_path: Path, database: str):
    back_up, pipe, restore, replace, copy, follow = code(GUIDE, "sh")
    store = SqliteStore(tmp_path / "threads.db")
    await store.open()
    await branches(store, thread_id="a")
    await branches(store, thread_id="b")
    assert "exported 2 threads to backup.jsonl" in await shell(back_up)
    assert "exported 2 threads" in await shell(pipe)
    assert "imported 2 threads" in await shell(restore)
    assert "imported 0 threads, left 2 that exist as they are" in await shell(restore)
    backed_up = [await picture(store, None, name) for name in "ab"]
    assert await seen(SqliteStore(tmp_path / "restored.db"), "a", "b") == backed_up
    await store.threads.update(None, "a", ThreadChange(set_name=True, name="Changed"))
    await branches(store, thread_id="later")
    assert "replaced 2" in await shell(replace)
    assert [await picture(store, None, name) for name in "ab"] == backed_up
    assert await store.threads.get(None, "later") is not None
    live = await claimed(store, "b")
    assert "run 'run' of thread 'b' is not finished: left out" in await shell(copy)
    (copied,) = await seen(PostgresStore(database), "b")
    # Its record has changed, and what the live run shows is unknown; the rest is as it was.
    assert copied[1:18] == backed_up[1][1:18]
    await finish(store, live)
    assert "replaced 3" in await shell(follow)
    now = [await picture(store, None, name) for name in ("a", "b", "later")]
    assert await seen(PostgresStore(database), "a", "b", "later") == now
    await store.aclose()


async def test_the_program_of_the_guide_keeps_threads_in_memory_over_a_restart(tmp_path: Path):
    one, other = InMemoryAgentRunner(), InMemoryAgentRunner()
    await branches(one.store)
    path = tmp_path / "threads.jsonl"
    async with page(GUIDE) as guide:
        # Files of a program that is nobody's server may be read on the event loop.
        await asyncio.to_thread(asyncio.run, guide.save(one, path))
        assert await asyncio.to_thread(asyncio.run, guide.restore(other, path)) == 1
        assert await picture(other.store) == await picture(one.store)
        path.write_bytes(path.read_bytes()[:-5])
        with pytest.raises(InvalidExport) as caught:
            await asyncio.to_thread(asyncio.run, guide.restore(other, path))
    assert caught.value.line > 1


def test_every_kind_of_line_is_in_the_reference_with_its_fields():
    kinds = {
        line.__struct_config__.tag: line
        for line in (HeaderLine, ThreadLine, RunLine, EntryLine, EventsLine, CompleteLine, GoneLine, EndLine)
    }
    rows = {row["kind"].strip("`"): row["fields"] for row in table(REFERENCE, "kind", "fields")}
    assert rows.keys() == kinds.keys()
    for kind, line in kinds.items():
        named = [word for word in rows[kind].replace("`", " ` ").split() if word in line.__struct_fields__]
        assert set(named) == set(line.__struct_fields__), kind


def test_options_results_and_exit_codes_are_in_the_reference():
    (options,) = [rows for rows in tables(REFERENCE) if "option" in rows[0]]
    named = {word for row in options for word in row["option"].replace("`", "").replace(",", "").split()}
    given = parse(["export", "x", "--output", "y"]), parse(["import", "x", "--input", "y", "--replace"])
    assert (given[0].output, given[1].input, given[1].replace) == ("y", "y", True)
    assert named == {"-o", "--output", "-i", "--input", "--replace"}
    text = REFERENCE.read_text(encoding="utf-8")
    assert all(f"`{field}`" in text for field in ImportReport.__struct_fields__)
    (codes,) = [rows for rows in tables(REFERENCE) if "exit code" in rows[0]]
    assert [row["exit code"] for row in codes] == ["`0`", "`1`", "`2`", "`130`"]
