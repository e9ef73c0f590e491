"""The `jumpseat export` and `jumpseat import` commands: threads out of a store, and into one."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import re
import sys
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import IO, Any, Final

from jumpseat.cli.databases import DATABASE_VARIABLE, DEFAULT_DATABASE, named_database, open_database
from jumpseat.cli.loading import load_runtime
from jumpseat.errors import ConfigurationError, InvalidExport, JumpseatError
from jumpseat.runners.event_log import EventLogRunner
from jumpseat.stores.base import Store
from jumpseat.stores.exporting import export
from jumpseat.stores.importing import ImportReport, import_
from jumpseat.stores.memory import MemoryStore

__all__ = ["add_export", "add_import", "run_export", "run_import"]

_STORE: Final = (
    "a SQLite file, postgresql://..., redis://..., or module:runtime for where that runtime keeps its "
    f"threads (default: {DATABASE_VARIABLE} of the environment, else {DEFAULT_DATABASE})"
)
_EXPORT: Final = """\
Writes the threads of all owners as lines of JSON, one thread after the other. Live and queued runs are left
out and named. The store may be in use meanwhile."""
_IMPORT: Final = """\
Stores the threads of an export, each in one step. Threads whose ids are there already stay as they are,
unless --replace says otherwise; one that has a live run is never replaced. After a bad line the threads
before it stay, and importing again goes on behind them."""

_TARGET: Final = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
_LONGEST_LINE: Final = 256 << 20
_PROGRESS_SECONDS: Final = 5.0


def add_export(commands: Any) -> None:
    """Add the command to those of the parser."""
    command = commands.add_parser("export", help="write all threads as lines of JSON", description=_EXPORT)
    command.add_argument("store", nargs="?", metavar="FILE|URL|module:runtime", help=_STORE)
    command.add_argument("-o", "--output", metavar="FILE", help="where to (default: standard output)")
    command.set_defaults(access_log=False, log_level="warning")


def add_import(commands: Any) -> None:
    """Add the command to those of the parser."""
    command = commands.add_parser("import", help="store the threads of an export", description=_IMPORT)
    command.add_argument("store", nargs="?", metavar="FILE|URL|module:runtime", help=_STORE)
    command.add_argument("-i", "--input", metavar="FILE", help="what to read (default: standard input)")
    command.add_argument("--replace", action="store_true", help="overwrite threads that are there already")
    command.set_defaults(access_log=False, log_level="warning")


def run_export(options: argparse.Namespace) -> None:
    """Export, and say on standard error what was left out and how much came."""
    store = _store(options.store, must_exist=True)
    with _writing(options.output) as output:
        threads = asyncio.run(_export(store, output))
    _say(f"exported {_threads(threads)}" + (f" to {options.output}" if options.output else ""))


async def _export(store: Store, output: IO[bytes]) -> int:
    threads = 0
    progress = _Progress("exported so far")
    try:
        async with contextlib.aclosing(export(store, notice=_say)) as lines:
            async for line in lines:
                threads += line.startswith(b'{"kind":"thread"')
                threads -= line.startswith(b'{"kind":"gone"')
                progress(threads)
                output.write(line)
        output.flush()
    finally:
        await store.aclose()
    return threads


def run_import(options: argparse.Namespace) -> None:
    """Import, and say on standard error what became of the threads."""
    with _reading(options.input) as source:
        store = _store(options.store, must_exist=False)
        report = asyncio.run(_import(store, source, replace=options.replace))
    _say(_summary(report))
    if report.busy:
        raise JumpseatError(
            f"{_threads(len(report.busy))} could not be replaced while a run is live: import again when it "
            "is over"
        )


async def _import(store: Store, source: IO[bytes], *, replace: bool) -> ImportReport:
    seen = ImportReport()
    progress = _Progress("imported so far")

    def note(report: ImportReport) -> None:
        nonlocal seen
        seen = report
        progress(report.loaded + report.replaced)

    try:
        return await import_(store, _lines(source), replace=replace, notice=_say, progress=note)
    except InvalidExport:
        _say(f"{_summary(seen)}; that stays")
        raise
    except OSError as error:
        raise JumpseatError(f"what came cannot be read or kept: {error}") from error
    finally:
        await store.aclose()


def _lines(source: IO[bytes]) -> Iterator[bytes]:
    number = 0
    while line := source.readline(_LONGEST_LINE + 1):
        number += 1
        if len(line) > _LONGEST_LINE:
            raise InvalidExport(number, f"a line of an export has at most {_LONGEST_LINE >> 20} MiB")
        yield line


def _store(named: str | None, *, must_exist: bool) -> Store:
    """Return the store, not opened yet. Raises ``ConfigurationError``."""
    name = named_database(named) or DEFAULT_DATABASE
    if _TARGET.fullmatch(name):
        runtime = load_runtime(name)
        if runtime.has_runner:
            return _store_of(runtime.runner, name)
        name = named_database(None) or DEFAULT_DATABASE
    if must_exist and "://" not in name and not Path(name).is_file():
        raise ConfigurationError(
            f"There is no file '{name}': name the SQLite file, postgresql://..., redis://..., or "
            "module:runtime"
        )
    return open_database(name)


def _store_of(runner: object, target: str) -> Store:
    if not isinstance(runner, EventLogRunner):
        raise ConfigurationError(
            f"'{target}' has a runner of its own making ({type(runner).__name__}), which keeps no store"
        )
    if isinstance(runner.store, MemoryStore):
        raise ConfigurationError(
            f"'{target}' keeps its threads in memory, where only its own process sees them: name a database"
        )
    return runner.store


@contextlib.contextmanager
def _writing(path: str | None) -> Generator[IO[bytes]]:
    """Write to standard output, or to a file that has its name once it is complete."""
    if path is None:
        try:
            yield sys.stdout.buffer
        except BrokenPipeError:
            # What the interpreter still flushes at its end goes nowhere.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise JumpseatError("nobody reads the export any more: it is not complete") from None
        return
    partial = Path(f"{path}.part")
    try:
        with partial.open("wb") as output:
            yield output
        partial.replace(path)
    except OSError as error:
        raise JumpseatError(f"{path} cannot be written: {error.strerror or error}") from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


@contextlib.contextmanager
def _reading(path: str | None) -> Generator[IO[bytes]]:
    if path is None:
        if sys.stdin.isatty():
            raise ConfigurationError("Name an export with --input FILE, or pipe one in")
        yield sys.stdin.buffer
        return
    try:
        source = Path(path).open("rb")  # noqa: SIM115 - closed below; what follows has errors of its own
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {error.strerror or error}") from error
    with source:
        yield source


class _Progress:
    """Says every few seconds how far it is."""

    def __init__(self, what: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._what = what
        self._clock = clock
        self._next = clock() + _PROGRESS_SECONDS

    def __call__(self, threads: int) -> None:
        if self._clock() >= self._next:
            self._next = self._clock() + _PROGRESS_SECONDS
            _say(f"{_threads(threads)} {self._what}")


def _summary(report: ImportReport) -> str:
    told = f"imported {_threads(report.loaded)}"
    if report.replaced:
        told += f", replaced {report.replaced}"
    if report.skipped:
        told += f", left {report.skipped} that exist as they are"
    return told


def _threads(count: int) -> str:
    return f"{count} thread{'' if count == 1 else 's'}"


def _say(text: str) -> None:
    print(f"jumpseat: {text}", file=sys.stderr)
