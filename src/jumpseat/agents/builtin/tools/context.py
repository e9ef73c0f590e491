"""What a tool knows of its call, and what it can send while it runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from jumpseat.agents.builtin.server_tools import Invocation
from jumpseat.agents.builtin.tools.channel import Channel
from jumpseat.agents.builtin.tools.results import NotSerializable, json_value
from jumpseat.context import AbortSignal, User
from jumpseat.errors import InvalidEvent
from jumpseat.protocol.codec import accept
from jumpseat.protocol.events import (
    ActivityDelta,
    ActivitySnapshot,
    Custom,
    Event,
    Raw,
    StateDelta,
    StateSnapshot,
    StepFinished,
    StepStarted,
)
from jumpseat.protocol.inputs import Message, RunAgentInput

__all__ = ["BlockingToolContext", "ToolContext"]

_SENDABLE: Final = (
    Custom, Raw, StateSnapshot, StateDelta, ActivitySnapshot, ActivityDelta, StepStarted, StepFinished,
)  # fmt: skip


class ToolContext:
    """One call of a tool, given to every parameter that is annotated with this class.

    It belongs to the call: once the call has ended, sending raises ``RuntimeError``. What the methods send
    goes out at once, also in the middle of a text; they wait while the client is slower than the tool.
    """

    __slots__ = ("_channel", "_invocation")

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._invocation: Invocation = channel.invocation

    @property
    def input(self) -> RunAgentInput:
        """The input of the run, as it reached the agent."""
        return self._invocation.input

    @property
    def state(self) -> Any:
        """A copy of the shared state as it is now."""
        return self._invocation.state.value

    @property
    def messages(self) -> list[Message]:
        """The messages that the run began with."""
        return self._invocation.input.messages

    @property
    def tool_call_id(self) -> str:
        """The id of this call."""
        return self._invocation.id

    @property
    def tool_name(self) -> str:
        """The name that the tool was called by."""
        return self._invocation.name

    @property
    def step(self) -> int:
        """Number of the generation that made the call, from 1."""
        return self._invocation.step

    @property
    def thread_id(self) -> str:
        """The thread of the run."""
        return self._invocation.context.thread_id

    @property
    def run_id(self) -> str:
        """The run."""
        return self._invocation.context.run_id

    @property
    def agent_id(self) -> str:
        """The name that the agent is registered under."""
        return self._invocation.context.agent_id

    @property
    def user(self) -> User | None:
        """Who asked: what ``identify_user`` returned."""
        return self._invocation.context.user

    @property
    def headers(self) -> Mapping[str, str]:
        """The request headers that may be forwarded, by lower-case name."""
        return self._invocation.context.headers

    @property
    def abort_signal(self) -> AbortSignal:
        """Set when the run is to end; for code that does not notice cancellation."""
        return self._invocation.context.abort_signal

    @property
    def sync(self) -> BlockingToolContext:
        """The sending methods for tools that are not ``async``."""
        return BlockingToolContext(self, self._channel)

    async def emit(self, event: object) -> None:
        """Send an event: CUSTOM, RAW, STATE_*, ACTIVITY_* or STEP_*.

        Args:
            event: A struct of ``jumpseat``, a dict in wire form, or a model of ``ag_ui.core``.

        Raises:
            ValueError: It is another event, or none.
            StatePatchError: It is a STATE_DELTA that does not fit the state.
        """
        try:
            accepted = accept(event)
        except InvalidEvent as error:
            raise ValueError(str(error)) from error
        if not isinstance(accepted, _SENDABLE):
            raise ValueError(
                f"a tool cannot send {accepted.type}: only CUSTOM, RAW, STATE_*, ACTIVITY_* and STEP_* events"
            )
        if isinstance(accepted, StateSnapshot | StateDelta):
            await self._channel.change_state(self._change(accepted))
        else:
            await self._channel.send(accepted)

    async def custom(self, name: str, value: Any = None) -> None:
        """Send a CUSTOM event; ``value`` is anything with a JSON form.

        Raises:
            ValueError: The name is no string, or the value has no JSON form.
        """
        if not isinstance(name, str):  # pyright: ignore[reportUnnecessaryIsInstance] - untyped callers
            raise ValueError(f"the name of a custom event is a string, not {type(name).__name__}")
        await self._channel.send(Custom(name=name, value=_json(value, "the value")))

    async def set_state(self, value: Any) -> None:
        """Replace the shared state.

        Raises:
            ValueError: The value has no JSON form.
        """
        state = _json(value, "the state")
        await self._channel.change_state(lambda: self._invocation.state.snapshot(state))

    async def patch_state(self, operations: Sequence[Any]) -> None:
        """Change the shared state by a JSON Patch (RFC 6902).

        An ``add`` to the end of a list that does not exist yet makes the list first.

        Raises:
            StatePatchError: An operation cannot be applied; nothing of the patch was.
            ValueError: A value in it has no JSON form.
        """
        patch = _json(operations, "the patch")
        await self._channel.change_state(lambda: self._invocation.state.delta(patch))

    def _change(self, event: StateSnapshot | StateDelta) -> Callable[[], list[Event]]:
        """Return what applies a state event and sends it with all that it carries."""
        state = self._invocation.state

        def change() -> list[Event]:
            if isinstance(event, StateSnapshot):
                state.snapshot(event.snapshot)
                return [event]
            *before, last = state.delta(event.delta)
            assert isinstance(last, StateDelta)
            return [*before, msgspec.structs.replace(event, delta=last.delta)]

        return change


class BlockingToolContext:
    """The sending methods of a ``ToolContext`` for a tool that runs in a thread: each waits until it is done.

    Once the call has ended they raise ``RuntimeError``, which is how a thread learns that nobody waits for it
    any more.
    """

    __slots__ = ("_channel", "_context")

    def __init__(self, context: ToolContext, channel: Channel) -> None:
        self._context = context
        self._channel = channel

    def emit(self, event: object) -> None:
        """Send an event; see ``ToolContext.emit``."""
        self._channel.wait_for(lambda: self._context.emit(event))

    def custom(self, name: str, value: Any = None) -> None:
        """Send a CUSTOM event; see ``ToolContext.custom``."""
        self._channel.wait_for(lambda: self._context.custom(name, value))

    def set_state(self, value: Any) -> None:
        """Replace the shared state; see ``ToolContext.set_state``."""
        self._channel.wait_for(lambda: self._context.set_state(value))

    def patch_state(self, operations: Sequence[Any]) -> None:
        """Change the shared state by a JSON Patch; see ``ToolContext.patch_state``."""
        self._channel.wait_for(lambda: self._context.patch_state(operations))


def _json(value: object, what: str) -> Any:
    try:
        return json_value(value)
    except NotSerializable as error:
        raise ValueError(f"{what} cannot be sent: {error}") from error
