"""One run in factory mode: what the developer's stream says, as one legal run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, cast

import msgspec

from jumpseat.agents.builtin.conversation import with_resume_results
from jumpseat.agents.builtin.converters.base import Converter, Item
from jumpseat.agents.builtin.converters.custom import fitting_type
from jumpseat.agents.builtin.converters.failures import reported_failure
from jumpseat.agents.builtin.execution import Emit
from jumpseat.agents.builtin.factory.context import FactoryContext, InterruptSignal
from jumpseat.agents.builtin.factory.opening import open_stream
from jumpseat.agents.builtin.factory.passed_on import PassedOn
from jumpseat.agents.builtin.factory.types import PASSED_ON, Factory
from jumpseat.agents.builtin.failures import AgentFailure, developer_failure
from jumpseat.agents.builtin.library_streams import closing
from jumpseat.agents.builtin.parts import Abort, Finish, ModelError, Part, StreamPart, Usage, UsageReport
from jumpseat.agents.builtin.redaction import Redactor
from jumpseat.agents.builtin.state import SharedState
from jumpseat.agents.builtin.tracing import RunTrace
from jumpseat.agents.builtin.translator import Translator
from jumpseat.agents.builtin.usage import UsageTotals
from jumpseat.calling import being_cancelled
from jumpseat.context import RunContext
from jumpseat.errors import UnsendableEvent
from jumpseat.protocol.events import (
    BaseEvent,
    Event,
    Interrupt,
    RunError,
    RunFinished,
    RunOutcome,
    RunStarted,
    TokenUsage,
)
from jumpseat.protocol.inputs import RunAgentInput

__all__ = ["FactoryRun"]

logger = logging.getLogger("jumpseat")


class FactoryRun:
    """Reads the stream of one factory call and emits what it says.

    Args:
        factory: The developer's function and the converter of its type.
        given: The run's input; never changed.
        context: The run.
        emit: Sends an event; waits while the stream is full.
        trace: Its spans.
        expose_usage: Send token counts with the end.
    """

    def __init__(
        self,
        factory: Factory,
        given: RunAgentInput,
        context: RunContext,
        emit: Emit,
        *,
        trace: RunTrace | None = None,
        expose_usage: bool = True,
    ) -> None:
        self.redact: Callable[[str], str] = Redactor(())
        self._factory = factory
        self._given = given
        self._context = context
        self._emit = emit
        self._expose_usage = expose_usage
        self._trace = trace or RunTrace()
        self._usage = UsageTotals()
        self._finish_reason: str | None = None
        self._upstream_end = RunFinished()
        state = None if factory.type in PASSED_ON else SharedState(given.state)
        self._translator = Translator(given, reannounced=True, state=state)
        self._passed_on = PassedOn(given.thread_id, given.run_id)
        self._state = state

    def tokens(self) -> list[TokenUsage] | None:
        """Return what the upstream has counted."""
        return self._usage.listed() if self._expose_usage else None

    async def execute(self) -> RunFinished:
        """Emit the events of the run and return its end; what was open is closed by then.

        Raises ``AgentFailure`` when the factory, its stream or its upstream failed.
        """
        with self._trace.run():
            return await self._execute()

    async def _execute(self) -> RunFinished:
        interrupts: list[Interrupt] | None = None
        try:
            await self._read()
        except InterruptSignal as signal:
            interrupts = signal.interrupts
        except asyncio.CancelledError as error:
            if being_cancelled():
                raise
            await self._close()
            raise AgentFailure("agent_error", "The factory's stream was cancelled") from error
        except BaseException as error:
            if (found := _asked_in(error)) is not None:
                interrupts = found
            else:
                await self._close()
                raise error if isinstance(error, AgentFailure) else developer_failure(error) from error
        finally:
            self._note()
        await self._close()
        return self._end(interrupts)

    async def _read(self) -> None:
        given = self._given
        if self._factory.type not in PASSED_ON and given.resume:
            # Interrupts of a library have ids of its own: an answer to one belongs to no call, rightly.
            messages = with_resume_results(given.messages, given.resume, logger.debug)
            given = msgspec.structs.replace(given, messages=messages)
        context = FactoryContext(input=given, run=self._context, resume=list(self._given.resume or ()))
        async with AsyncExitStack() as stack:
            converter = await open_stream(self._factory, context, given, stack)
            await self._convert(converter)

    async def _convert(self, converter: Converter) -> None:
        understood, first = False, None
        async with closing(converter.stream) as chunks:
            async for chunk in chunks:
                first = chunk if first is None else first
                try:
                    items = converter.feed(chunk)
                except UnsendableEvent as error:
                    logger.warning("run %s: dropped: %s", self._given.run_id, error)
                    continue
                understood = await self._take(items) or understood
        await self._take(converter.end())
        if first is not None and not understood:
            self._warn_of_type(first)

    def _warn_of_type(self, chunk: object) -> None:
        fitting = fitting_type(chunk)
        logger.warning(
            'run %s: nothing in the factory\'s stream means anything with type="%s"; '
            "its first chunk was %s. %s",
            self._given.run_id,
            self._factory.type,
            type(chunk).__qualname__,
            f'Give BuiltInAgent type="{fitting}".' if fitting else "Is it the right type?",
        )

    async def _take(self, items: Iterable[Item]) -> bool:
        """Emit what the items make; say whether there were any."""
        some = False
        for item in items:
            some = True
            for event in self._events(item):
                await self._emit(event)
        return some

    def _events(self, item: Item) -> Iterable[Event]:
        if isinstance(item, Part):
            return self._part(item)
        return self._event(item)

    def _part(self, part: StreamPart) -> Iterable[Event]:
        if isinstance(part, Finish | UsageReport):
            if isinstance(part, Finish):
                self._finish_reason = part.reason
            if part.usage is not None:
                self._usage.add(part.usage, part.usage.provider, part.usage.model)
            return ()
        if isinstance(part, ModelError):
            raise reported_failure(part)
        if isinstance(part, Abort):
            return self._translator.close()
        return self._translator.feed(part)

    def _event(self, event: Event) -> Iterable[Event]:
        if isinstance(event, RunStarted):
            return ()
        if isinstance(event, RunError):
            for entry in event.usage or ():
                self._count(entry)
            raise AgentFailure(event.code or "agent_error", event.message)
        if isinstance(event, RunFinished):
            self._merge(event)
            return ()
        passed: Sequence[Event] = (event,)
        if self._state is not None:
            self._state.observe(event)
            passed = self._translator.around(event)
        for out in passed:
            self._passed_on.see(cast("BaseEvent", out))
        return passed

    def _merge(self, event: RunFinished) -> None:
        for entry in event.usage or ():
            self._count(entry)
        end = self._upstream_end
        if event.result is not None:
            end.result = event.result
        if event.outcome is not None:
            end.outcome = event.outcome

    def _count(self, entry: TokenUsage) -> None:
        counts: dict[str, Any] = {
            name: getattr(entry, name)
            for name in Usage.__struct_fields__
            if name not in ("provider", "model")
        }
        self._usage.add(Usage(**counts), entry.provider, entry.model)

    async def _close(self) -> None:
        for event in [*self._translator.close(), *self._passed_on.close()]:
            await self._emit(event)

    def _end(self, interrupts: list[Interrupt] | None) -> RunFinished:
        outcome = self._outcome() if interrupts is None else _waiting_for(interrupts)
        if outcome is not None and outcome.type == "interrupt" and self._context.abort_signal.aborted:
            outcome = None
        return RunFinished(
            thread_id=self._given.thread_id,
            run_id=self._given.run_id,
            result=self._upstream_end.result,
            outcome=outcome,
        )

    def _outcome(self) -> RunOutcome | None:
        """Return what the upstream said of the end, with every decision that its parts asked for."""
        said, asked = self._upstream_end.outcome, self._translator.interrupts
        if not asked:
            # A list of no decisions is one that no client can read.
            is_waiting = said is not None and said.type == "interrupt"
            return said if not is_waiting or (said and said.interrupts) else None
        named = {entry.id: entry for entry in (said.interrupts if said and said.interrupts else ())}
        return _waiting_for([*named.values(), *(one for one in asked.values() if one.id not in named)])

    def _note(self) -> None:
        record = self._context.record
        if (listed := self._usage.listed()) is not None:
            record["usage"] = listed
        if self._finish_reason is not None:
            record["finish_reason"] = self._finish_reason


def _waiting_for(interrupts: list[Interrupt]) -> RunOutcome | None:
    return RunOutcome(type="interrupt", interrupts=interrupts) if interrupts else None


def _asked_in(error: BaseException) -> list[Interrupt] | None:
    """Return the decisions of signals that a library, or a group of tasks, wrapped in an exception."""
    if isinstance(error, InterruptSignal):
        return error.interrupts
    if not isinstance(error, BaseExceptionGroup):
        return None
    group = cast("BaseExceptionGroup[BaseException]", error)
    found = [_asked_in(each) for each in group.exceptions]
    if any(asked is None for asked in found):
        return None
    return [interrupt for asked in found for interrupt in asked or ()]
