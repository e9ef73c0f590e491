"""Moving the write-ahead log into the database, in a thread of its own: commits do not wait for the disk."""

from __future__ import annotations

import logging
import sqlite3
import threading
import time
from pathlib import Path
from typing import Final, final

__all__ = ["Checkpointer", "logged_pages"]

# How much is written before it is moved, and what makes a writer wait until all of it is.
CHECKPOINT_PAGES: Final = 2000
LONGEST_PAGES: Final = 8000
# How often the log is looked at while there are commits, and again after a failure.
LOOK_SECONDS: Final = 0.1
RETRY_SECONDS: Final = 2.0

_HEADER: Final = 32
_FRAME_HEADER: Final = 24
_PASSIVE: Final = "PRAGMA wal_checkpoint(PASSIVE)"
_RESTART: Final = "PRAGMA wal_checkpoint(RESTART)"

_log = logging.getLogger(__name__)


def logged_pages(path: Path) -> int:
    """Return how many pages the write-ahead log of the database at ``path`` holds; 0 without a log.

    A log that began anew keeps its size: the pages that count are those with the salt of its header.
    """
    try:
        with path.with_name(f"{path.name}-wal").open("rb", buffering=0) as log:
            header = log.read(_HEADER)
            if len(header) < _HEADER:
                return 0
            frame = int.from_bytes(header[8:12], "big") + _FRAME_HEADER
            low, high = 0, (log.seek(0, 2) - _HEADER) // frame
            while low < high:
                middle = (low + high) // 2
                log.seek(_HEADER + frame * middle + 8)
                if log.read(8) == header[16:24]:
                    low = middle + 1
                else:
                    high = middle
            return low
    except OSError:
        return 0


@final
class Checkpointer:
    """Runs the thread that moves the log of one database.

    It does so beside the commits. As these go on meanwhile, the log may never be moved to its end, which it
    must be to begin anew; a log of ``LONGEST_PAGES`` is therefore moved while the writer is held back. By
    then little is left to move.

    Args:
        connection: Used and closed by the checkpointer alone, once it is started. Its busy timeout bounds how
            long the writer is held back for other processes and for long queries.
        path: The database.
        writing: Held by the writer of this process during each of its transactions.
    """

    def __init__(self, connection: sqlite3.Connection, path: Path, writing: threading.Lock) -> None:
        self._connection = connection
        self._path = path
        # SQLite keeps the log beside the file that a symbolic link leads to.
        self._file = path.resolve()
        self._writing = writing
        self._written = threading.Event()
        self._stopping = threading.Event()
        # The length of the present log when it was last looked at, how much of it is moved, and at which
        # length the writer is held back.
        self._pages = 0
        self._moved = 0
        self._press_at = LONGEST_PAGES
        # An attempt left some of the log: once nothing is written any more, it is repeated after this time.
        self._unfinished = False
        self._patience = LOOK_SECONDS
        self._failed_at: float | None = None
        name = f"jumpseat-checkpoints:{path.name}"
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    def written(self) -> None:
        """Learn that something was committed; costs the caller next to nothing."""
        if not self._written.is_set():
            self._written.set()

    def stop(self) -> None:
        """End the thread and close its connection; blocks for the checkpoint that runs."""
        self._stopping.set()
        self._written.set()
        self._thread.join()
        self._connection.close()

    def _run(self) -> None:
        while True:
            quiet = not self._written.wait(self._patience if self._unfinished else None)
            if self._stopping.is_set():
                return
            self._written.clear()
            try:
                self._look(quiet=quiet)
            except sqlite3.Error as error:
                self._fail(error)
            self._patience = RETRY_SECONDS if quiet else LOOK_SECONDS
            # Further commits pile up meanwhile.
            self._stopping.wait(LOOK_SECONDS)

    def _look(self, *, quiet: bool) -> None:
        if self._failed_at is not None and time.monotonic() < self._failed_at + RETRY_SECONDS:
            return
        pages = logged_pages(self._file)
        if pages < self._pages:
            self._moved, self._press_at = 0, LONGEST_PAGES
        self._pages = pages
        if pages >= self._press_at:
            self._press(pages)
        elif pages - self._moved >= CHECKPOINT_PAGES or (quiet and self._unfinished):
            self._move(_PASSIVE)

    def _press(self, pages: int) -> None:
        """Move the whole log, so that the next commit begins a new one; in vain while a long query runs."""
        self._press_at = pages + CHECKPOINT_PAGES
        self._move(_PASSIVE)
        with self._writing:
            if not self._move(_PASSIVE):
                self._move(_RESTART)

    def _move(self, statement: str) -> bool:
        """Move what can be moved; true when that was everything."""
        busy, logged, moved = self._connection.execute(statement).fetchone()
        self._unfinished = bool(busy) or moved < logged
        self._moved = max(self._moved, moved)
        self._failed_at = None
        return not self._unfinished

    def _fail(self, error: sqlite3.Error) -> None:
        """Try again later: nothing is lost, the log only grows meanwhile."""
        if self._failed_at is None:
            _log.warning("%s: moving its write-ahead log into it failed: %s", self._path, error)
        self._failed_at = time.monotonic()
        self._unfinished = True
