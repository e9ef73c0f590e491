"""The one thread that writes: what waits, of all runs, goes into one transaction."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Literal, final

from jumpseat.stores.base import Append
from jumpseat.stores.sqlite.appends import append_alone, append_in_transaction
from jumpseat.stores.sqlite.database import unavailable
from jumpseat.stores.sqlite.merging import merge
from jumpseat.stores.sqlite.session import Session

__all__ = ["Group", "Task", "Writer"]

# Changes that one transaction takes at most, so that the first of them is not kept waiting by the last.
_MOST = 512
# Seconds of a transaction for changes that somebody waits for, and again for the others: the first of many
# starts are answered while the writer works on the next.
_LONGEST = 0.005
_ALONE = {sqlite3.SQLITE_OK, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_TOOBIG}

_log = logging.getLogger(__name__)


@final
class Task:
    """One waiting change other than an append, and, once it was tried, its result.

    ``work`` may be called again, after all that it did was undone.
    """

    __slots__ = ("error", "future", "patient", "result", "work")

    def __init__(
        self, future: asyncio.Future[Any], work: Callable[[Session], Any], *, patient: bool = False
    ) -> None:
        self.future = future
        self.work = work
        self.patient = patient
        self.result: Any = None
        self.error: Exception | None = None


@final
class Group:
    """Waiting appends of different runs, and who is told on the loop when all of them were tried."""

    __slots__ = ("appends", "done")

    def __init__(self, appends: Sequence[Append], done: Callable[[Sequence[Append]], None]) -> None:
        self.appends = appends
        self.done = done


Item = Group | Task
_LOOK_AROUND: Literal["look around"] = "look around"
Woken = Callable[[Sequence[Item], Sequence[str], bool], None]


class Writer:
    """Runs the writer thread. ``woken`` is called on the loop after each commit.

    It gets the items, the keys of the runs that others than appends changed, and whether another connection
    has committed since the last call. ``writing`` is held during each transaction, ``written`` is called in
    the thread behind it.
    """

    def __init__(
        self,
        session: Session,
        path: Path,
        loop: asyncio.AbstractEventLoop,
        woken: Woken,
        *,
        writing: threading.Lock,
        written: Callable[[], None],
    ) -> None:
        self._session = session
        self._path = path
        self._loop = loop
        self._woken = woken
        self._writing = writing
        self._written = written
        self._queue: SimpleQueue[Item | Literal["look around"] | None] = SimpleQueue()
        self._seen_commits = session.foreign_commits
        self._looking = False
        self._thread = threading.Thread(target=self._run, name=f"jumpseat-writer:{path.name}", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def put(self, item: Item) -> None:
        """Hand an item over; its future is resolved on the loop after the commit."""
        self._queue.put(item)

    def look_around(self) -> None:
        """Let the thread see whether another connection has committed; nothing is written."""
        if not self._looking:
            self._looking = True
            self._queue.put(_LOOK_AROUND)

    def stop(self) -> None:
        """Write what waits, then end; blocks until then."""
        self._queue.put(None)
        self._thread.join()

    def _run(self) -> None:
        queue = self._queue
        left: list[Task] = []
        ended = False
        while left or not ended:
            # What came while the last commit ran is taken along; waiting for more would only add delay.
            waiting = [] if left else [queue.get()]
            waiting.extend([queue.get() for _ in range(min(queue.qsize(), _MOST - len(waiting)))])
            ended = ended or None in waiting
            left = self._write([*left, *[item for item in waiting if isinstance(item, Group | Task)]])
            if self._session.merge_due:
                self._merge()

    def _write(self, batch: list[Item]) -> list[Task]:
        """Write what is waiting and tell the loop; return what must wait for the next transaction."""
        session = self._session
        session.touched = []
        left: list[Task] = []
        try:
            if batch:
                with self._writing:
                    left = self._commit(batch)
                self._written()
            else:
                session.refresh()
        except Exception as error:
            with self._writing:
                self._failed(batch, error)
        if left:
            waiting = set(left)
            batch = [item for item in batch if item not in waiting]
        foreign = session.foreign_commits != self._seen_commits
        self._seen_commits = session.foreign_commits
        self._looking = False
        if batch or foreign:
            try:
                self._loop.call_soon_threadsafe(_deliver, batch, self._woken, session.touched, foreign)
            except RuntimeError:
                _log.warning("%s: the event loop is closed; nobody learns what was written", self._path)
        return left

    def _commit(self, batch: list[Item]) -> list[Task]:
        session = self._session
        if len(batch) == 1 and type(batch[0]) is Group:
            appends, tasks = batch[0].appends, []
        else:
            appends = [append for item in batch if type(item) is Group for append in item.appends]
            tasks = [item for item in batch if type(item) is Task]
        if not tasks and append_alone(session, appends):
            return []
        try:
            return self._transact(appends, tasks, _attempt)
        except _Refused:
            _rollback(session)
            session.touched = []
            return self._transact(appends, tasks, _attempt_apart)

    def _transact(
        self, appends: Sequence[Append], tasks: Sequence[Task], attempt: Callable[[Session, Task], None]
    ) -> list[Task]:
        session = self._session
        session.execute("BEGIN IMMEDIATE")
        session.refresh()
        if appends:
            append_in_transaction(session, appends)
        left = _attempt_some(session, [task for task in tasks if not task.patient], attempt)
        left += _attempt_some(session, [task for task in tasks if task.patient], attempt)
        session.execute("COMMIT")
        return left

    def _merge(self) -> None:
        """Merge what has arrived, between two transactions that somebody waits for."""
        session = self._session
        try:
            with self._writing:
                session.execute("BEGIN IMMEDIATE")
                session.refresh()
                merge(session)
                session.execute("COMMIT")
            self._written()
        except Exception as error:
            # It stays where it is, and as much again arrives before the next attempt.
            _log.debug("%s: merging failed: %s", self._path, error)
            session.take_arrivals()
            with self._writing:
                _rollback(session)

    def _failed(self, batch: list[Item], error: Exception) -> None:
        """Undo; when one change may be to blame, such as for a full disk, try each alone."""
        _rollback(self._session)
        code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK) & 0xFF
        changes = [change for item in batch for change in _changes(item)]
        if len(changes) < 2 or code not in _ALONE:
            for change in changes:
                change.result, change.error = None, self._told(error)
            return
        for change in changes:
            try:
                self._commit([Group([change], _nobody) if type(change) is Append else change])
            except Exception as again:
                _rollback(self._session)
                change.result, change.error = None, self._told(again)

    def _told(self, error: Exception) -> Exception:
        return unavailable(self._path, error) if isinstance(error, sqlite3.Error) else error


def _changes(item: Item) -> Sequence[Append | Task]:
    return item.appends if type(item) is Group else [item]


def _nobody(appends: Sequence[Append]) -> None:
    """Tell nobody: the group that these appends came in is told."""


def _rollback(session: Session) -> None:
    session.forget()
    if session.connection.in_transaction:
        session.connection.rollback()


def _attempt_some(
    session: Session, tasks: list[Task], attempt: Callable[[Session, Task], None]
) -> list[Task]:
    """Run changes for a while, at least one; return those that were not tried."""
    until = time.monotonic() + _LONGEST
    for index, task in enumerate(tasks):
        if index and time.monotonic() >= until:
            return tasks[index:]
        session.tick()
        task.error = None
        attempt(session, task)
    return []


class _Refused(Exception):
    """A change cannot be made, and some of it may have been."""


def _attempt(session: Session, task: Task) -> None:
    """Run one change of a transaction that is undone as a whole when it fails. Raises ``_Refused``."""
    try:
        task.result = task.work(session)
    except sqlite3.IntegrityError as error:
        raise _Refused from error
    except sqlite3.Error:
        raise
    except Exception as error:
        raise _Refused from error


def _attempt_apart(session: Session, task: Task) -> None:
    """Run one change so that its failure undoes only itself."""
    session.execute("SAVEPOINT item")
    try:
        task.result = task.work(session)
    except sqlite3.IntegrityError as error:
        _undo(session, task, ValueError(f"it contradicts what is stored: {error}"))
    except sqlite3.Error:
        raise
    except Exception as error:
        _undo(session, task, error)
    session.execute("RELEASE item")


def _undo(session: Session, item: Task, error: Exception) -> None:
    session.forget()
    session.execute("ROLLBACK TO item")
    item.error = error


def _deliver(batch: Sequence[Item], woken: Woken, touched: Sequence[str], foreign: bool) -> None:
    for item in batch:
        if type(item) is Group:
            item.done(item.appends)
            continue
        future = item.future
        if future.done():
            continue
        if item.error is not None:
            future.set_exception(item.error)
        else:
            future.set_result(item.result)
    woken(batch, touched, foreign)
