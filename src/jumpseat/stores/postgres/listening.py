"""Hearing of what other processes stored: notifications while they arrive, otherwise looking often."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
from collections.abc import Awaitable, Callable
from typing import Any, Final

from jumpseat.errors import StoreUnavailable
from jumpseat.stores.postgres.connections import Connection, Connections, limited
from jumpseat.stores.postgres.failures import driver_error
from jumpseat.stores.waiting import Waiters

__all__ = ["Listener"]

POLL_SECONDS: Final = 0.25
# With notifications looking again is only for one that got lost.
SLOW_POLL_SECONDS: Final = 2.0
CHECK_SECONDS: Final = 30.0
ECHO_SECONDS: Final = 5.0
LISTEN_SECONDS: Final = 10.0
LONGEST_PAUSE: Final = 5.0

_log = logging.getLogger("jumpseat.stores")

Notify = Callable[[str, list[str]], Awaitable[Any]]
Changed = Callable[[list[str], list[int]], Awaitable[list[str]]]


class Listener:
    """Wakes waiters. ``notify`` sends payloads through the pool, ``changed`` says which runs have news.

    A pooler accepts ``LISTEN`` and delivers nothing, so a connection counts as listening only after a
    notification that was sent through the pool came back on it, and is asked again every 30 seconds.
    """

    def __init__(
        self,
        connections: Connections,
        waiters: Waiters,
        *,
        schema: str,
        dsn: str | None,
        notify: Notify,
        changed: Changed,
    ) -> None:
        self._connections = connections
        self._waiters = waiters
        self._schema = schema
        self._dsn = dsn
        self._notify = notify
        self._changed = changed
        self._stop_told: Callable[[str], None] = lambda _: None
        self._tasks: list[asyncio.Task[None]] = []
        self._echoed = asyncio.Event()
        self._nonce = ""
        self._warned = False
        self.listening = asyncio.Event()

    def on_stop(self, told: Callable[[str], None]) -> None:
        """Call ``told`` with the key of every run that is asked to stop."""
        self._stop_told = told

    def start(self, *, listen: bool) -> None:
        """Begin to look, and to listen if that is wanted."""
        self._tasks.append(asyncio.create_task(self._poll(), name="jumpseat postgres polling"))
        if listen:
            self._tasks.append(asyncio.create_task(self._keep_listening(), name="jumpseat postgres listener"))

    async def close(self) -> None:
        """End listening and looking."""
        tasks, self._tasks = self._tasks, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self.listening.clear()

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(SLOW_POLL_SECONDS if self.listening.is_set() else POLL_SECONDS)
            if not self._waiters:
                continue
            try:
                changed = await self._changed(*self._waiters.positions())
            except StoreUnavailable:
                # Those who wait look for themselves and learn why.
                self._waiters.wake_all()
            except Exception:
                _log.exception("looking for new events failed; it goes on")
            else:
                for run_key in changed:
                    self._waiters.wake(run_key)

    async def _keep_listening(self) -> None:
        pause = POLL_SECONDS
        while True:
            try:
                async with contextlib.aclosing(_Owned(await self._connections.connect(self._dsn))) as owned:
                    pause = await self._listen(owned.connection)
            except (StoreUnavailable, OSError, *driver_error()) as error:
                self._say_once("no notifications arrive, so events are looked for: %s", error)
                if self.listening.is_set():
                    # It worked until now: pauses grow only while there is nobody to listen to.
                    pause = POLL_SECONDS
            except Exception:
                _log.exception("listening failed; it is tried again")
            finally:
                self.listening.clear()
                self._waiters.wake_all()
            await asyncio.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _listen(self, connection: Connection) -> float:
        """Listen until nothing arrives any more; return how long to pause then."""
        with limited(connection, LISTEN_SECONDS):
            for channel in ("", "_stop", "_check"):
                await connection.execute(f"LISTEN {self._schema}{channel}".encode())
        reading = asyncio.create_task(self._read(connection))
        try:
            while await self._echo(reading):
                if not self.listening.is_set():
                    self.listening.set()
                    self._warned = False
                    # What happened before LISTEN took effect was not announced here.
                    self._waiters.wake_all()
                await asyncio.wait((reading,), timeout=CHECK_SECONDS)
            if not reading.done():
                self._say_once(
                    "a notification did not come back on the listener's connection, so events are looked for "
                    "every %s s: give listen_dsn a way past the pooler, or set listen=False",
                    POLL_SECONDS,
                )
                return LONGEST_PAUSE
        finally:
            reading.cancel()
            await asyncio.wait((reading,))
        if not reading.cancelled() and (error := reading.exception()) is not None:
            raise error
        return POLL_SECONDS

    async def _echo(self, reading: asyncio.Task[None]) -> bool:
        """Say whether a notification that is sent now comes back."""
        if reading.done():
            return False
        self._nonce = secrets.token_hex(8)
        self._echoed.clear()
        await self._notify("_check", [self._nonce])
        echo = asyncio.create_task(self._echoed.wait())
        try:
            await asyncio.wait((echo, reading), timeout=ECHO_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            echo.cancel()
        return self._echoed.is_set() and not reading.done()

    async def _read(self, connection: Connection) -> None:
        async with contextlib.aclosing(connection.notifies()) as notifications:
            async for notification in notifications:
                match notification.channel.removeprefix(self._schema):
                    case "":
                        self._waiters.wake(notification.payload)
                    case "_stop":
                        self._stop_told(notification.payload)
                    case _:
                        if notification.payload == self._nonce:
                            self._echoed.set()

    def _say_once(self, text: str, *values: object) -> None:
        if not self._warned:
            self._warned = True
            _log.warning(text, *values)


class _Owned:
    """A connection that is closed with the block it is used in."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection

    async def aclose(self) -> None:
        """Close it."""
        await self.connection.close()
