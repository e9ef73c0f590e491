"""The one runner over any store: runs are logs with one writer and any number of readers."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Unpack

from jumpseat.errors import RunnerClosed, StoreUnavailable
from jumpseat.runners.base import (
    AgentRunner,
    ConnectRequest,
    EventStream,
    FirstRunSealed,
    IsRunningRequest,
    RunRequest,
    StopRequest,
)
from jumpseat.runners.connecting import Connector
from jumpseat.runners.loop_watch import LoopWatch
from jumpseat.runners.options import RunnerOptionArguments, RunnerOptions
from jumpseat.runners.readers import DeferredStream
from jumpseat.runners.recovery import take_and_seal
from jumpseat.runners.registry import Registry, unless_closed
from jumpseat.runners.renewing import renew_all
from jumpseat.runners.starting import BEYOND_ANY_EVENT, Starter
from jumpseat.runners.threads import StoreThreads
from jumpseat.stores.base import Claimed, Run, Store, TellsOfStops

__all__ = ["EventLogRunner"]

logger = logging.getLogger("jumpseat.runs")

PRUNE_SECONDS = 60.0
PRUNE_ROWS = 1_000
# How long one round of removing may take before the sweep has its turn again.
PRUNE_LONGEST_SECONDS = 1.0
SWEEP_RUNS = 100
SWEEP_AT_ONCE = 8
RECOVERY_PAUSE_SECONDS = 0.1
OPENING_SECONDS = 10.0
DELETION_SECONDS = 3.0


class EventLogRunner(AgentRunner):
    """Executes runs over a ``Store``, keeps their logs and serves their readers.

    A run outlives the request that started it; an event is stored before anyone sees it; every run ends with
    exactly one terminal event, also when its process dies. Binds to the event loop of its first use.

    Args:
        store: Where everything is kept.
        **options: Those of ``RunnerOptions``: ``on_concurrent_run``, ``max_queued_runs``, ``on_disconnect``,
            ``lease_ttl``, ``heartbeat``, ``stop_grace``, ``retention``, ``limits``.

    Raises:
        ConfigurationError: An option has a value that cannot work.
    """

    def __init__(self, store: Store, **options: Unpack[RunnerOptionArguments]) -> None:
        self.store = store
        self.options = RunnerOptions(**options)
        self._registry = Registry()
        self._connector = Connector(store, self._registry, recover=self._recover)
        self._starter = Starter(
            store,
            self.options,
            self._registry,
            recover=self._recover,
            supersede=self._supersede,
            begun=self._connector.changed,
        )
        self.threads = StoreThreads(
            store,
            stop=self._stop_for_deletion,
            gone=self._connector.changed,
            ready=self._open_for_reading,
        )
        self._loop: asyncio.AbstractEventLoop | None = None
        self._recoveries: dict[str, asyncio.Task[None]] = {}
        self._recovered: list[FirstRunSealed] = []
        self._opening: asyncio.Future[None] | None = None
        self._closing = False
        self._closed: asyncio.Future[None] | None = None
        if isinstance(store, TellsOfStops):
            store.on_stop(self._stop_reported)

    @property
    def live_runs(self) -> int:
        """How many runs this process executes right now, queued ones included."""
        return len(self._registry.live) + len(self._registry.queued)

    async def open(self) -> None:
        """Open the store and start renewing leases; idempotent. Raises ``StoreUnavailable``."""
        self._bind()
        if self._closing:
            raise RunnerClosed("The runner is closed")
        if self._opening is None:
            self._opening = asyncio.ensure_future(self._open())
        opening = self._opening
        try:
            await asyncio.shield(opening)
        except StoreUnavailable:
            if self._opening is opening:
                self._opening = None
            raise
        if self._closing:
            raise RunnerClosed("The runner is closed")

    async def run(self, request: RunRequest) -> EventStream:
        """Start a run; see ``AgentRunner.run``. Cancelling leaves a claimed run going."""
        await self.open()
        outcome, start = self._registry.start(self._starter.start(request), f"start of {request.thread_id!r}")
        try:
            return await outcome
        except asyncio.CancelledError:
            start.add_done_callback(self._close_unread)
            raise

    async def connect(self, request: ConnectRequest) -> EventStream:
        """Return the thread's history, then its live run; see ``AgentRunner.connect``."""
        await self._open_for_reading()
        # Tells a store that is away from one that answers, whatever the size of the thread.
        await self.store.live(request.owner, request.thread_id)
        return DeferredStream(
            lambda: self._registry.spawn(self._connector.open(request), f"connect to {request.thread_id!r}")
        )

    async def is_running(self, request: IsRunningRequest) -> bool:
        """Say whether the thread has a live run; one whose owner is gone is sealed first."""
        await self._open_for_reading()
        live = await self.store.live(request.owner, request.thread_id)
        if live is not None and live.over:
            await self._recover(live.run)
            live = await self.store.live(request.owner, request.thread_id)
        return live is not None

    async def stop(self, request: StopRequest) -> bool | None:
        """Stop a live run and return after its seal, at the latest after 2 ``stop_grace`` + ``lease_ttl``.

        A run that waits behind one that goes on is sealed at its turn; nobody waits for that.
        """
        await self._open_for_reading()
        runs = await self.store.request_stop(
            request.owner, request.thread_id, request.run_id, "stop_requested"
        )
        if runs is None:
            return None
        self._nudge(runs, "stop_requested")
        if runs and request.run_id is not None and await self._wait_behind_another(request, runs):
            return bool(runs)
        now = asyncio.get_running_loop().time
        deadline = now() + 2 * self.options.stop_grace + self.options.lease_ttl
        for run in runs:
            await self._until_sealed(run, deadline - now())
        return bool(runs)

    async def _wait_behind_another(self, request: StopRequest, runs: list[Run]) -> bool:
        """Say whether these runs are queued, here or in other processes, behind one that was not stopped."""
        live = await self.store.live(request.owner, request.thread_id)
        return live is not None and live.run.run_key not in {run.run_key for run in runs}

    def on_recovery(self, told: FirstRunSealed) -> Callable[[], None]:
        """Have ``told`` called for first runs sealed in place of others; of several, the oldest one is."""
        self._recovered.append(told)

        def end() -> None:
            if told in self._recovered:
                self._recovered.remove(told)

        return end

    async def aclose(self, *, grace: float = 0.0) -> None:
        """Take no new runs, give live ones ``grace`` seconds, seal the rest, close the store."""
        if self._closed is None:
            self._closing = True
            self._closed = asyncio.ensure_future(self._close(grace))
        await asyncio.shield(self._closed)

    async def _open(self) -> None:
        await self.store.open()
        if not self._closing:
            self._registry.spawn(self._keep_alive(), "lease renewal")
            self._registry.spawn(self._clean_up(), "clean-up")
            self._registry.spawn(LoopWatch().run(), "loop watch")

    async def _open_for_reading(self) -> None:
        # Streams may still be opened while the last runs are being sealed.
        if not self._closing:
            await self.open()
        elif self._closed is not None and self._closed.done():
            raise RunnerClosed("The runner is closed")

    async def _close(self, grace: float) -> None:
        registry = self._registry
        if self._opening is not None:
            seconds = 2 * self.options.stop_grace + 1.0
            await asyncio.wait((self._opening,), timeout=OPENING_SECONDS)
            await registry.settled(grace)
            self._shut_down()
            # A claim that is on its way may still become a run.
            await registry.started(seconds)
            self._shut_down()
            if not await registry.settled(seconds):
                logger.error("%d runs could not be sealed before the runner closed", self.live_runs)
            await registry.started(seconds)
        await registry.cancel_all()
        await self.store.aclose()

    def _shut_down(self) -> None:
        for live in list(self._registry.live.values()):
            live.request_stop("shutdown")
        for queued in list(self._registry.queued.values()):
            queued.request_stop("shutdown")

    def _close_unread(self, start: asyncio.Task[EventStream]) -> None:
        """Count off the reader of a run whose caller left before it got one."""
        if not start.cancelled() and start.exception() is None:
            self._registry.spawn(start.result().aclose(), "reader that nobody wanted")

    def _bind(self) -> None:
        loop = asyncio.get_running_loop()
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise RuntimeError("This runner belongs to another event loop; make one runner per loop")

    async def _keep_alive(self) -> None:
        """Renew leases. Nothing else happens here: whatever held this up would cost every run its lease."""
        while True:
            await asyncio.sleep(self.options.heartbeat)
            live = list(self._registry.live.values())
            queued = [waiting.run for waiting in self._registry.queued.values()]
            await renew_all(self.store, self.options.lease_ttl, live, queued)

    async def _clean_up(self) -> None:
        """Seal what others left behind, and let go what retention no longer keeps."""
        next_prune = 0.0
        loop = asyncio.get_running_loop()
        while True:
            try:
                await self._sweep()
                if loop.time() >= next_prune:
                    next_prune = loop.time() + PRUNE_SECONDS
                    if await self._prune():
                        next_prune = 0.0
            except StoreUnavailable as error:
                logger.debug("nothing is cleaned up: %s", error)
            except Exception:
                logger.exception("cleaning up failed; it goes on at the next heartbeat")
            await asyncio.sleep(self.options.heartbeat)

    async def _prune(self) -> bool:
        """Let go what retention no longer keeps; say whether some of it is left for the next heartbeat."""
        now = asyncio.get_running_loop().time
        until = now() + PRUNE_LONGEST_SECONDS
        while await self.store.prune(self.options.retention, PRUNE_ROWS) >= PRUNE_ROWS:
            if now() >= until:
                return True
        return False

    async def _sweep(self) -> None:
        """Recover several runs at a time: one may have to wait for another process."""
        some = asyncio.Semaphore(SWEEP_AT_ONCE)

        async def recover(run: Run) -> None:
            async with some:
                await self._recover(run)

        runs = await self.store.expired(SWEEP_RUNS)
        for result in await asyncio.gather(*map(recover, runs), return_exceptions=True):
            if isinstance(result, Exception) and not isinstance(result, StoreUnavailable):
                logger.error("a run whose owner is gone could not be sealed", exc_info=result)

    async def _recover(self, run: Run) -> None:
        """Seal a run whose owner is gone; wait in line for one that never started.

        Those who find the same run at the same time, here or in other processes, wait for the one that seals.
        A run that this process still executes is renewed: it was late, not gone.
        """
        live = self._registry.live.get(run.run_key)
        if live is not None and live.holds(run):
            await live.renewed(await self.store.extend(run, self.options.lease_ttl))
            return
        recovery = self._recoveries.get(run.run_key)
        if recovery is None:
            recovery = self._registry.spawn(self._take_and_seal(run), f"recovery of run {run.run_key}")
            self._recoveries[run.run_key] = recovery
            recovery.add_done_callback(lambda _: self._recoveries.pop(run.run_key, None))
        await unless_closed(recovery)

    async def _take_and_seal(self, run: Run) -> None:
        outcome = await self._overrule(run)
        if outcome is False and not await self._until_sealed(run, self.options.lease_ttl, recovering=False):
            outcome = await self._take_from_last(run)
        if isinstance(outcome, Claimed):
            await self._starter.adopt(outcome)

    async def _take_from_last(self, run: Run) -> Claimed | bool:
        """Seal a run that was taken over since ``run`` was its claim, by somebody who is gone as well."""
        for last in await self.store.expired(SWEEP_RUNS):
            if last.run_key == run.run_key:
                return await self._overrule(last)
        await asyncio.sleep(RECOVERY_PAUSE_SECONDS)
        return False

    async def _supersede(self, request: RunRequest, run: Run) -> None:
        runs = await self.store.request_stop(request.owner, request.thread_id, None, "superseded")
        self._nudge(runs or [], "superseded")
        if not await self._until_sealed(run, self.options.stop_grace):
            await self._overrule(run, force="superseded")

    async def _overrule(self, run: Run, *, force: str | None = None) -> Claimed | bool:
        taking = take_and_seal(
            self.store, self.options, run, sealed=self._sealed_in_place_of_owner, force=force
        )
        # Cut off between the two, it would keep the thread busy for another lease.
        outcome, _ = self._registry.start(taking, f"take-over of run {run.run_key}")
        return await outcome

    def _sealed_in_place_of_owner(self, claimed: Claimed) -> None:
        live = self._registry.live.get(claimed.run.run_key)
        if live is not None:
            live.tell_if_first()
        elif claimed.ordinal == 1 and self._recovered:
            self._recovered[0](claimed.owner, claimed.run.thread_id)

    def _nudge(self, runs: list[Run], reason: str) -> None:
        for run in runs:
            if live := self._registry.live.get(run.run_key):
                live.request_stop(reason)
            elif queued := self._registry.queued.get(run.run_key):
                queued.request_stop(reason)

    def _stop_reported(self, run_key: str) -> None:
        """Look at a run of this process that somebody asked to stop, without waiting for the heartbeat."""
        live = self._registry.live.get(run_key)
        if live is not None and live.stop_reason is None:
            renewal = renew_all(self.store, self.options.lease_ttl, [live], [])
            self._registry.spawn(renewal, f"stop of run {run_key}")

    async def _until_sealed(self, run: Run, seconds: float, *, recovering: bool = True) -> bool:
        """Wait until a live run is sealed; say whether it was in time. A queued run is not waited for."""
        if run.run_key in self._registry.queued:
            return True
        loop = asyncio.get_running_loop()
        deadline = loop.time() + seconds
        while (remaining := deadline - loop.time()) > 0:
            page = await self.store.read(run.thread_id, run.run_key, BEYOND_ANY_EVENT, min(remaining, 1.0))
            if page.ended or page.gone:
                return True
            if page.expired and not recovering:
                return False
            if page.expired:
                await self._recover(run)
        return False

    async def _stop_for_deletion(self, owner: str | None, thread_id: str | None) -> None:
        if thread_id is None:
            runs = await self.store.request_stop_all(owner, "stop_requested")
        else:
            runs = await self.store.request_stop(owner, thread_id, None, "stop_requested") or []
        self._nudge(runs, "stop_requested")
        seconds = self.options.stop_grace + DELETION_SECONDS
        sealed = (self._until_sealed(run, seconds) for run in runs)
        for result in await asyncio.gather(*sealed, return_exceptions=True):
            if isinstance(result, BaseException):
                raise result
