"""Starting runs: planning the view, claiming the thread, and what to do when it is busy."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

import msgspec

from jumpseat.errors import CallerLeft, StoreUnavailable, ThreadAlreadyRunning, ThreadNotFound
from jumpseat.protocol.codec import encode_json
from jumpseat.protocol.endings import lost
from jumpseat.runners.base import EventStream, RunRequest
from jumpseat.runners.group_commit import group_commit_of
from jumpseat.runners.intake import Intake
from jumpseat.runners.keys import new_run_key
from jumpseat.runners.live_run import LiveRun
from jumpseat.runners.offloading import json_of, offload, size_of
from jumpseat.runners.opening import opening_event
from jumpseat.runners.options import RunnerOptions
from jumpseat.runners.queueing import QueuedRun, orphan_request, rebased, stored_input
from jumpseat.runners.readers import LogReader
from jumpseat.runners.recovery import seal_from_log
from jumpseat.runners.registry import Registry
from jumpseat.runners.restoring import restored
from jumpseat.runners.sealing import make_seal
from jumpseat.runners.view import (
    NoRoom,
    RequestView,
    ViewChange,
    keys_to_locate,
    plan_request,
    replan_all,
)
from jumpseat.stores.base import Busy, Claimed, Foreign, Located, Moved, NewRun, Plan, Queued, Run, Store

__all__ = ["Starter"]

logger = logging.getLogger("jumpseat.runs")

MAX_PLANS = 3
MAX_ATTEMPTS = 8
QUEUE_POLL_SECONDS = 0.05
NO_VERSION = -1
QUEUE_WAIT_SECONDS = 1.0
BEYOND_ANY_EVENT = 1 << 53


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A request as it will be claimed."""

    request: RunRequest
    view: RequestView
    change: ViewChange
    new: NewRun
    first: bytes


class Starter:
    """Starts runs on a store.

    Args:
        store: Where claims are made.
        options: What a busy thread does.
        registry: Gets the started runs.
        recover: Seals a run whose owner is gone.
        supersede: Ends the live run of a thread for a newer one.
        begun: Told the owner and the thread of every run that has begun.
    """

    def __init__(
        self,
        store: Store,
        options: RunnerOptions,
        registry: Registry,
        *,
        recover: Callable[[Run], Awaitable[None]],
        supersede: Callable[[RunRequest, Run], Awaitable[None]],
        begun: Callable[[str | None, str], None],
    ) -> None:
        self._store = store
        self._group = group_commit_of(store)
        self._options = options
        self._registry = registry
        self._recover = recover
        self._supersede = supersede
        self._begun = begun

    async def start(self, request: RunRequest) -> EventStream:
        """Claim the thread and start the agent; return a reader from the first event on.

        Raises ``ThreadAlreadyRunning``, ``ThreadNotFound``, ``CallerLeft`` and ``StoreUnavailable``: then
        nothing started.
        """
        _check_wanted(request)
        request = await restored(self._store, request)
        view = await offload(size_of(request.input.messages), RequestView, request.input.messages)
        run_key = new_run_key()
        moved = 0
        # A thread usually begins with one message; the claim itself finds out when it did not.
        assume_new = len(view.messages) <= 1 and request.input.parent_run_id is None
        for _ in range(MAX_ATTEMPTS):
            change = await self._plan(request, view, assume_new=assume_new)
            prepared = await self._prepare(request, view, change, run_key)
            result = await self._store.claim(
                prepared.new, self._options.lease_ttl, prepared.change.plan, prepared.first
            )
            match result:
                case Claimed():
                    return await self._begin(prepared, result)
                case Queued():
                    return self._enqueue(prepared, result)
                case Foreign():
                    raise ThreadNotFound(request.thread_id)
                case Busy(over=True):
                    # Whoever took it over seals it, which does not take long.
                    await self._recover(result.run)
                case Busy():
                    if self._options.on_concurrent_run != "supersede":
                        raise ThreadAlreadyRunning(request.thread_id, result.run_id)
                    await self._supersede(request, result.run)
                case Moved():
                    moved += not assume_new
                    if moved > MAX_PLANS:
                        break
            assume_new = False
        raise ThreadAlreadyRunning(request.thread_id)

    async def _prepare(
        self, request: RunRequest, view: RequestView, change: ViewChange, run_key: str
    ) -> _Prepared:
        given = request.input
        parent = change.parent
        if given.parent_run_id is not None:
            named = await self._store.find(request.owner, request.thread_id, given.parent_run_id)
            parent = named.ordinal if named is not None else parent
        queue = self._options.on_concurrent_run == "enqueue"
        new = NewRun(
            thread_id=request.thread_id,
            run_key=run_key,
            run_id=given.run_id,
            agent_id=request.agent_id,
            owner=request.owner,
            parent=parent,
            state=None if given.state is None else encode_json(given.state),
            name=request.options.thread_name,
            queue=queue,
            max_queued=self._options.max_queued_runs if queue else 0,
            input=stored_input(given) if queue else None,
        )
        limit = self._options.limits.max_event_bytes
        first = await offload(size_of(change.new), opening_event, given, change.new, limit)
        return _Prepared(request, view, change, new, first)

    async def _plan(self, request: RunRequest, view: RequestView, *, assume_new: bool = False) -> ViewChange:
        owner, thread_id = request.owner, request.thread_id
        if assume_new:
            return await offload(size_of(view.messages), plan_request, view, Located())
        located = await self._store.locate(owner, thread_id, ())
        if located.foreign:
            raise ThreadNotFound(thread_id)
        keys = keys_to_locate(view, located)
        if keys:
            located = await self._store.locate(owner, thread_id, keys)
        try:
            return await offload(size_of(view.messages), plan_request, view, located)
        except NoRoom:
            history = await self._store.history(owner, thread_id)
            return replan_all(view, located, history.entries if history is not None else [])

    async def _begin(self, prepared: _Prepared, claimed: Claimed) -> LogReader:
        request = prepared.request
        request.context.run_key = claimed.run.run_key
        intake = Intake(
            request.thread_id,
            request.input.run_id,
            messages=prepared.view.messages,
            state=await json_of(claimed.state),
            limits=self._options.limits,
            state_bytes=len(claimed.state or b""),
        )
        view = prepared.view
        live = LiveRun(
            self._store,
            self._options,
            request,
            claimed,
            intake,
            first=prepared.first,
            digests=view.digest_of,
            complete=prepared.change.complete,
            group=self._group,
        )
        self._registry.execute(live)
        self._begun(request.owner, request.thread_id)
        return LogReader(self._store, request.owner, claimed.run, after=0, live=live, recover=self._recover)

    def _enqueue(self, prepared: _Prepared, queued: Queued) -> EventStream:
        waiting = QueuedRun(prepared.request, queued.run, prepared.first, self._options)
        waiting.note_stop(queued.stop_reason)
        self._wait_in_line(waiting)
        return waiting.stream()

    async def adopt(self, claimed: Claimed) -> None:
        """Wait in the place of a queued run whose process is gone, so that its message is kept."""
        size, limit = len(claimed.input or b""), self._options.limits.max_event_bytes
        request = await offload(size, orphan_request, claimed)
        first = await offload(size, opening_event, request.input, request.input.messages, limit)
        self._wait_in_line(QueuedRun(request, claimed.run, first, self._options, orphaned=True))

    def _wait_in_line(self, waiting: QueuedRun) -> None:
        run_key = waiting.run.run_key
        self._registry.queued[run_key] = waiting
        self._registry.spawn(self._await_turn(waiting), f"queued run {run_key}")

    async def _await_turn(self, waiting: QueuedRun) -> None:
        """Promote a queued run when every older run is sealed, with its input as the thread is by then."""
        try:
            while not await self._try_turn(waiting):
                await self._until_free(waiting)
        except Exception:
            logger.exception("queued run %s cannot start", waiting.run.run_key)
            await self._give_up(waiting)
        finally:
            self._registry.queued.pop(waiting.run.run_key, None)
            waiting.finish()

    async def _try_turn(self, waiting: QueuedRun) -> bool:
        """Claim the thread for a queued run if it is its turn; true when it waits no longer."""
        request = waiting.request
        try:
            if not await self._is_due(waiting):
                return False
            history = await self._store.history(request.owner, request.thread_id)
            size = sum(len(entry.data) for entry in history.entries) if history is not None else 0
            request = await offload(size, rebased, request, history)
            view = await offload(size, RequestView, request.input.messages)
            change = await self._plan(request, view)
            if history is not None and change.plan.version != history.version:
                # Rebased on a thread that has moved on since.
                return False
            turn = await self._prepare(request, view, change, waiting.run.run_key)
            turn = replace(turn, new=msgspec.structs.replace(turn.new, epoch=waiting.run.epoch, state=None))
            result = await self._store.claim(turn.new, self._options.lease_ttl, turn.change.plan, turn.first)
        except StoreUnavailable as error:
            logger.warning("queued run %s: %s; trying again", waiting.run.run_key, error)
            return False
        match result:
            case Claimed():
                await self._take_turn(waiting, turn, result)
                return True
            case Queued():
                waiting.note_stop(result.stop_reason)
                return False
            case Moved():
                return False
            case Busy() | Foreign():
                logger.warning("queued run %s was taken over or deleted", waiting.run.run_key)
                return True

    async def _is_due(self, waiting: QueuedRun) -> bool:
        """Ask whether it is a queued run's turn without reading its thread: with a plan that never fits."""
        plan = Plan(version=NO_VERSION)
        result = await self._store.claim(_promotion(waiting), self._options.lease_ttl, plan, b"")
        if isinstance(result, Queued):
            waiting.note_stop(result.stop_reason)
        return not isinstance(result, Queued)

    async def _give_up(self, waiting: QueuedRun) -> None:
        """Seal a queued run at its turn as lost, its thread's messages untouched: others wait behind it."""
        lease = self._options.lease_ttl
        while isinstance(
            claimed := await self._store.claim(_promotion(waiting), lease, Plan(), waiting.first), Queued
        ):
            await self._until_free(waiting)
        if isinstance(claimed, Claimed):
            state, limits = await json_of(claimed.state), self._options.limits
            intake = Intake(waiting.run.thread_id, claimed.run_id, messages=[], state=state, limits=limits)
            intake.opened(waiting.first)
            ending = lost()
            intake.close(ending)
            await self._store.seal(claimed.run, make_seal(intake, ending, Plan(), claimed, first_seq=2))

    async def _take_turn(self, waiting: QueuedRun, turn: _Prepared, claimed: Claimed) -> None:
        waiting.note_stop(claimed.stop_reason)
        if waiting.stop_reason is not None or waiting.orphaned:
            await seal_from_log(self._store, self._options, claimed, reason=waiting.stop_reason)
        else:
            await waiting.start(await self._begin(turn, claimed))

    async def _until_free(self, waiting: QueuedRun) -> None:
        """Wait a moment, or until the thread's live run ends."""
        request = waiting.request
        try:
            live = await self._store.live(request.owner, request.thread_id)
            if live is None:
                await asyncio.sleep(QUEUE_POLL_SECONDS)
            elif live.expired:
                await self._recover(live.run)
            else:
                run = live.run
                await self._store.read(run.thread_id, run.run_key, BEYOND_ANY_EVENT, QUEUE_WAIT_SECONDS)
        except StoreUnavailable:
            await asyncio.sleep(QUEUE_WAIT_SECONDS)


def _check_wanted(request: RunRequest) -> None:
    wanted = request.options.wanted
    if wanted is not None and not wanted():
        raise CallerLeft


def _promotion(waiting: QueuedRun) -> NewRun:
    request = waiting.request
    return NewRun(
        thread_id=request.thread_id,
        run_key=waiting.run.run_key,
        run_id=request.input.run_id,
        agent_id=request.agent_id,
        owner=request.owner,
        epoch=waiting.run.epoch,
    )
