"""One run in the process that owns it: the agent's task, and the task that stores, stops and seals."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from typing import Any, TypeVar

import msgspec

from jumpseat.errors import ClaimLost, RunFailure, StoreUnavailable
from jumpseat.protocol import endings
from jumpseat.protocol.endings import Ending
from jumpseat.protocol.inputs import ActivityMessage, RunAgentInput
from jumpseat.runners.base import DisconnectPolicy, RunRequest, agent_stream
from jumpseat.runners.group_commit import GroupCommit
from jumpseat.runners.intake import Intake
from jumpseat.runners.offloading import messages_of, offload
from jumpseat.runners.options import RunnerOptions
from jumpseat.runners.sealing import make_seal, plan_view, settle
from jumpseat.runners.tail import Tail
from jumpseat.stores.base import Append, Claimed, Hold, Plan, Run, Store

__all__ = ["LiveRun"]

logger = logging.getLogger("jumpseat.runs")
T = TypeVar("T")

BATCH_EVENTS = 256
BATCH_BYTES = 1024 * 1024
UNWRITTEN_EVENTS = 1_000
UNWRITTEN_BYTES = 1024 * 1024
# What a cancelled agent gets to unwind after its time for work behind the terminal is over.
UNWIND_SECONDS = 1.0


class LiveRun:
    """Executes one claimed run and ends it with a seal, whatever happens.

    Two tasks: the agent's, which only fills the intake, and the run's own (``execute``), which watches the
    deadlines and seals. The agent can therefore never hold up a stop. What piles up is stored by the group
    that the process's runs share; by the run's own task where there is none, and after a failure.
    """

    def __init__(
        self,
        store: Store,
        options: RunnerOptions,
        request: RunRequest,
        claimed: Claimed,
        intake: Intake,
        *,
        first: bytes,
        digests: Mapping[str, bytes],
        complete: bool,
        group: GroupCommit | None,
    ) -> None:
        self.store = store
        self.request = request
        self.claimed = claimed
        self.run = claimed.run
        self.tail = Tail(0)
        self.sealed = asyncio.Event()
        self.stop_reason: str | None = None
        self.abandoned: asyncio.Task[Ending] | None = None
        # Looked up once: on Python 3.11 each look-up is a system call, and one per event is felt.
        self._loop = asyncio.get_running_loop()
        self.renewed_at = self._loop.time()
        self._options = options
        self._intake = intake
        self._tap = request.options.tap
        self._digests = digests
        self._complete = complete
        self._group = group
        # Events of this run wait for the next group or are being stored with one.
        self._joined = False
        self._asked_to_stop = False
        self._lost = False
        self._closed = False
        self._released = False
        # Nothing more is taken from the agent.
        self._deaf = False
        self._readers = 0
        own = request.options.on_disconnect
        self._policy: DisconnectPolicy = options.on_disconnect if own is None else own
        self._agent_task: asyncio.Task[Ending] | None = None
        self._cancelled = False
        self._deadline: float | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._room: asyncio.Future[None] | None = None
        self._timers: list[asyncio.TimerHandle] = []
        self._disconnect_timer: asyncio.TimerHandle | None = None
        intake.opened(first)
        self._show([first])

    async def execute(self) -> None:
        """Run the agent to its end and seal. Never raises but for its own cancellation."""
        loop = self._loop
        limit = self._options.limits.max_run_seconds
        if limit is not None:
            self._timers.append(loop.call_later(limit, self.request_stop, "time_limit"))
        self.request.context.on_abort = lambda: self.request_stop("stop_requested")
        if self.request.context.abort_signal.aborted:
            self.request_stop("stop_requested")
        try:
            await self._seal(await self._drive())
        except ClaimLost:
            logger.warning("run %s was taken over or deleted; its agent was cancelled", self.run.run_key)
        except Exception:
            logger.exception("run %s could not be sealed; its lease will run out", self.run.run_key)
        finally:
            self._release()

    def request_stop(self, reason: str) -> None:
        """End the run for ``reason``; the first reason counts. Safe to call at any time."""
        if self.stop_reason is not None or self._closed:
            return
        self.stop_reason = reason
        self._deaf = True
        self.request.context.abort_signal.abort(reason)
        self._start_deadline(cancel=True)

    def lose(self) -> None:
        """Give the run up: another process owns it now, or the store is out of reach."""
        if not self._closed and not self._lost:
            self._lost = True
            self._deaf = True
            self.request.context.abort_signal.abort("claim_lost")
            self._start_deadline(cancel=True)

    def attach(self) -> None:
        """Count a reader in this process."""
        self._readers += 1
        if self._disconnect_timer is not None:
            self._disconnect_timer.cancel()
            self._disconnect_timer = None

    def detach(self) -> None:
        """Count a reader off; the last one may end the run, as the disconnect policy says."""
        self._readers -= 1
        policy = self._policy
        if self._readers or policy == "continue" or self._closed:
            return
        if policy == "cancel":
            self.request_stop("client_disconnected")
        elif not isinstance(policy, str):
            loop = self._loop
            self._disconnect_timer = loop.call_later(policy, self.request_stop, "client_disconnected")

    def holds(self, claim: Run) -> bool:
        """Say whether this process still executes the run under that claim."""
        return claim == self.run and not self._lost and not self._released

    async def renewed(self, told: Hold | StoreUnavailable) -> None:
        """Learn what became of a renewal: held, asked to stop, lost, or a store that was away too long."""
        if isinstance(told, StoreUnavailable):
            if self._loop.time() - self.renewed_at > self._options.lease_ttl:
                self.lose()
            return
        if told is Hold.LOST:
            self.lose()
        self.renewed_at = self._loop.time()
        if told is Hold.STOPPING and self.stop_reason is None:
            with contextlib.suppress(StoreUnavailable):
                await self._learn_stop()

    async def _drive(self) -> Ending:
        """Start the agent and follow it to its end; return how the run ends."""
        if self.claimed.stop_reason is not None:
            self.request_stop(self.claimed.stop_reason)
        if self._lost:
            raise ClaimLost
        if self.stop_reason is not None:
            return self._ending(None)
        agent = asyncio.create_task(self._consume(), name=f"agent {self.run.run_key}")
        self._agent_task = agent
        agent.add_done_callback(lambda _: self._wake())
        try:
            return await self._follow(agent)
        except ClaimLost:
            await self._dismiss(agent)
            raise

    async def _follow(self, agent: asyncio.Task[Ending]) -> Ending:
        """Write what the agent produced until it is done or given up."""
        while True:
            if self._joined:
                await self._wait(None)
            elif self._lost:
                raise ClaimLost
            elif self._asked_to_stop:
                self._asked_to_stop = False
                await self._learn_stop()
            elif self._intake.out:
                await self._flush()
            elif agent.done():
                return self._ending(agent)
            elif self._deadline is not None and self._loop.time() >= self._deadline:
                if self._cancelled:
                    self._leave(agent)
                    return self._ending(None)
                self._start_deadline(cancel=True, seconds=UNWIND_SECONDS)
            else:
                await self._wait(self._deadline)

    def _ending(self, agent: asyncio.Task[Ending] | None) -> Ending:
        self._closed = True
        self._deaf = True
        terminal = self._intake.terminal
        if terminal is not None:
            return endings.agent_terminal(terminal)
        if self.stop_reason is not None:
            return endings.ending_for_stop(self.stop_reason)
        if agent is None or agent.cancelled():
            return endings.stopped()
        error = agent.exception()
        return agent.result() if error is None else endings.raised(self._text_of(error))

    def _text_of(self, error: BaseException) -> str:
        try:
            return self.request.options.error_text(error)
        except Exception:
            logger.exception("run %s: an exception has no readable text", self.run.run_key)
            return "The agent failed"

    def _log_failure(self, what: str, error: BaseException | None = None) -> None:
        request_id = self.request.context.request_id
        logger.error(
            "run %s: %s (request %s)",
            self.run.run_key,
            what,
            request_id,
            exc_info=error,
            extra={"request_id": request_id},
        )

    async def _consume(self) -> Ending:
        """Iterate the agent, filling the intake; its exceptions become the ending."""
        request = self.request
        given = _without_activities(request.input)
        failure: Ending | None = None
        try:
            stream: Any = await agent_stream(request.agent, given, request.context)
            async with AsyncExitStack() as stack:
                if hasattr(stream, "aclose"):
                    await stack.enter_async_context(aclosing(stream))
                failure = await self._consume_items(stream)
        except asyncio.CancelledError as error:
            if not self._cancelled:
                return endings.raised(self._text_of(error))
        except (KeyboardInterrupt, GeneratorExit):
            raise
        except BaseException as error:  # An agent that calls sys.exit() ends its run, not the server.
            if self._intake.terminal is not None or self.stop_reason is not None:
                self._log_failure("the agent failed after its end", error)
            else:
                self._log_failure("the agent failed", error)
                if isinstance(error, RunFailure):  # A remote agent's stream broke a rule before it got here.
                    return endings.broke(error)
                return endings.raised(self._text_of(error))
        if failure is not None:
            return failure
        return endings.cut() if request.options.requires_terminal else endings.returned()

    async def _consume_items(self, stream: AsyncIterator[Any]) -> Ending | None:
        intake = self._intake
        take_delta = intake.take_delta
        async for item in stream:
            if self._deaf:
                return None
            try:
                if not take_delta(item) and (event := intake.validate(item)) is not None:
                    if intake.needs_view(event):
                        intake.rebase(await self._patiently(self._load_view))
                    intake.take(event)
                    if intake.terminal is not None and self._deadline is None:
                        self._start_deadline(cancel=False)
            except RunFailure as broken:
                self._log_failure(f"{broken.code}: {broken}")
                # Closing the agent's stream may take time that nobody else limits.
                self._start_deadline(cancel=False)
                return endings.broke(broken)
            if not self._joined:
                self._offer()
            if len(intake.out) >= UNWRITTEN_EVENTS or intake.out_bytes >= UNWRITTEN_BYTES:
                await self._until_room()
        return None

    async def _load_view(self) -> list[Any]:
        history = await self.store.history(self.claimed.owner, self.run.thread_id)
        return await messages_of(history.entries) if history is not None else []

    def _offer(self) -> None:
        """Have what the agent produced stored."""
        if self._group is not None:
            self._joined = True
            self._group.join(self)
        elif self._waiter is not None:
            self._wake()

    def next_append(self) -> Append | None:
        """Return what the group is to store for this run."""
        if self._released:
            return None
        return Append(self.run, self.tail.last_seq + 1, self._batch())

    def stored(self, append: Append) -> None:
        """Show what the group has stored; after a failure the run's own task goes on."""
        self._joined = False
        if self._released:
            return
        if append.error is not None:
            self._group = None
            self._wake()
            return
        self._shown(append.events)
        if append.result is Hold.STOPPING and self.stop_reason is None:
            self._asked_to_stop = True
            self._wake()
        elif self._intake.out:
            self._offer()
        elif self._deadline is not None or (self._agent_task is not None and self._agent_task.done()):
            self._wake()

    def _batch(self) -> list[bytes]:
        intake = self._intake
        batch = intake.out[:BATCH_EVENTS]
        return batch if intake.out_bytes <= BATCH_BYTES else _up_to(batch, BATCH_BYTES)

    async def _flush(self) -> None:
        first, batch = self.tail.last_seq + 1, self._batch()
        hold = await self._patiently(lambda: self.store.append(self.run, first, batch))
        self._shown(batch)
        if hold is Hold.STOPPING and self.stop_reason is None:
            await self._learn_stop()

    def _shown(self, batch: Sequence[bytes]) -> None:
        """Let the readers see what is stored, and the agent go on if it had to wait."""
        intake = self._intake
        if len(batch) == 1:
            intake.out_bytes -= len(intake.out.pop(0))
        else:
            del intake.out[: len(batch)]
            intake.out_bytes -= sum(map(len, batch))
        self.tail.extend(batch)
        if self._tap is not None:
            self._tell(batch)
        if self._room is not None and len(intake.out) < UNWRITTEN_EVENTS:
            self._room.set_result(None)
            self._room = None

    def _show(self, events: Sequence[bytes]) -> None:
        self.tail.extend(events)
        self._tell(events)

    def _tell(self, events: Sequence[bytes]) -> None:
        if self._tap is not None:
            for data in events:
                self._tap(data)

    async def _learn_stop(self) -> None:
        live = await self.store.live(self.claimed.owner, self.run.thread_id)
        reason = live.stop_reason if live is not None and live.run.run_key == self.run.run_key else None
        self.request_stop(reason or "stop_requested")

    async def _seal(self, ending: Ending) -> None:
        intake = self._intake
        intake.close(ending, settle(self.request.options.settlers))
        plan = await self._patiently(self._plan_view)
        try:
            await self._seal_with(ending, plan)
        except ClaimLost:
            raise
        except Exception:
            # A run that stays live would hold its thread for as long as its lease lasts, or for ever.
            logger.exception("run %s is sealed without its messages", self.run.run_key)
            await self._seal_with(ending, Plan())
        self._show(list(intake.out))
        self.tail.end()
        self.sealed.set()
        self.tell_if_first()

    def tell_if_first(self) -> None:
        """Tell of the sealed run if it is its thread's first."""
        told = self.request.options.first_run_sealed
        if told is not None and self.claimed.ordinal == 1:
            told(self.claimed.owner, self.run.thread_id)

    async def _seal_with(self, ending: Ending, plan: Plan) -> None:
        first_seq, record = self.tail.last_seq + 1, self.request.context.record
        intake, claimed = self._intake, self.claimed
        seal = await offload(
            intake.size, make_seal, intake, ending, plan, claimed, first_seq=first_seq, record=record
        )
        await self._patiently(lambda: self.store.seal(self.run, seal))

    async def _plan_view(self) -> Plan:
        try:
            return await plan_view(
                self.store, self.claimed, self._intake, self._digests, complete=self._complete
            )
        except StoreUnavailable:
            raise
        except Exception:
            logger.exception("run %s: its messages could not be added to its thread", self.run.run_key)
            return Plan()

    async def _patiently(self, operation: Callable[[], Awaitable[T]]) -> T:
        """Repeat ``operation`` while the store is away and the lease lasts, then raise ``ClaimLost``."""
        delay = 0.1
        while True:
            try:
                return await operation()
            except StoreUnavailable as error:
                if self._lost or self._loop.time() - self.renewed_at > self._options.lease_ttl:
                    raise ClaimLost("the store was out of reach for longer than the lease") from error
                logger.warning("run %s: %s; trying again", self.run.run_key, error)
            await asyncio.sleep(delay)
            delay = min(delay * 2, 2.0)

    async def _until_room(self) -> None:
        if self._room is None:
            self._room = self._loop.create_future()
        if not self._joined:
            self._offer()
        await asyncio.shield(self._room)

    def _start_deadline(self, *, cancel: bool, seconds: float | None = None) -> None:
        loop = self._loop
        self._deadline = loop.time() + (self._options.stop_grace if seconds is None else seconds)
        if cancel:
            self._cancelled = True
            if self._agent_task is not None:
                self._agent_task.cancel()
        self._wake()

    async def _dismiss(self, agent: asyncio.Task[Ending]) -> None:
        """Cancel the agent of a run that is lost, and give it its time to end."""
        self.lose()
        self.tail.detach()
        await asyncio.wait((agent,), timeout=self._options.stop_grace)
        self._leave(agent)

    def _leave(self, agent: asyncio.Task[Ending]) -> None:
        if not agent.done():
            self.abandoned = agent
            logger.error(
                "run %s: the agent ignores cancellation and is left behind; its output is refused",
                self.run.run_key,
            )

    async def _wait(self, until: float | None) -> None:
        loop = self._loop
        waiter = self._waiter = loop.create_future()
        timer = loop.call_at(until, self._wake) if until is not None else None
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def _release(self) -> None:
        self._closed = True
        self._released = True
        self._deaf = True
        self.request.context.on_abort = None
        for timer in [*self._timers, *([self._disconnect_timer] if self._disconnect_timer else [])]:
            timer.cancel()
        if self._room is not None and not self._room.done():
            self._room.cancel()
        if self._agent_task is not None and not self._agent_task.done():
            self.abandoned = self._agent_task
            self._agent_task.cancel()
        if not self.sealed.is_set():
            self.tail.detach()
            self.sealed.set()


def _without_activities(given: RunAgentInput) -> RunAgentInput:
    if not any(isinstance(message, ActivityMessage) for message in given.messages):
        return given
    kept = [message for message in given.messages if not isinstance(message, ActivityMessage)]
    return msgspec.structs.replace(given, messages=kept)


def _up_to(batch: list[bytes], limit: int) -> list[bytes]:
    """Return the events of ``batch`` that fit in ``limit`` bytes, at least one."""
    size = 0
    for index, data in enumerate(batch):
        size += len(data)
        if size > limit and index:
            return batch[:index]
    return batch
