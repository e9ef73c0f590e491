"""The shared state of one run: what it is now, and the events that tell the clients of its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeAlias, cast

from jumpseat.agents.builtin.strict_patch import apply_strictly, missing_list
from jumpseat.errors import StatePatchError
from jumpseat.protocol.codec import decode_json, encode_json
from jumpseat.protocol.events import Event, StateDelta, StateSnapshot
from jumpseat.protocol.jsonpatch import PatchError, apply_patch

__all__ = [
    "STATE_DELTA_TOOL",
    "STATE_SNAPSHOT_TOOL",
    "STATE_TOOL_NAMES",
    "SharedState",
    "decoded_once",
    "state_events",
]

STATE_SNAPSHOT_TOOL: Final = "AGUISendStateSnapshot"
STATE_DELTA_TOOL: Final = "AGUISendStateDelta"
STATE_TOOL_NAMES: Final = frozenset({STATE_SNAPSHOT_TOOL, STATE_DELTA_TOOL})

Json: TypeAlias = Any


class SharedState:
    """The state that a run shares with its clients; made for one run.

    Args:
        given: The state of the run's input. ``None`` counts as an empty object. It is copied, never changed.
    """

    __slots__ = ("_announced", "_sending", "_tracked")

    def __init__(self, given: Json) -> None:
        self._tracked: Json = {} if given is None else _copy(given)
        # Also without a state in the input: a change that has nothing to stand on cannot be replayed.
        self._announced = False
        self._sending = asyncio.Lock()

    @property
    def value(self) -> Json:
        """A copy of the state as it is now."""
        return _copy(self._tracked)

    def snapshot(self, value: Json) -> list[Event]:
        """Replace the state and return the event that says so.

        Raises:
            TypeError: The value has no JSON form; the state stays as it was.
        """
        sent = _copy(value)
        self._tracked = _copy(sent)
        self._announced = True
        return [StateSnapshot(snapshot=sent)]

    def delta(self, operations: Json) -> list[Event]:
        """Apply a JSON Patch and return the events that tell of it.

        The first change of a run is preceded by a snapshot, which a replay starts from. An ``add`` to the
        end of a list that does not exist yet makes the list first.

        Raises:
            StatePatchError: An operation cannot be applied; nothing of the patch was.
        """
        if not isinstance(operations, list):
            raise StatePatchError(f"{_COMPLAINT}: it is not a list of operations")
        changed, applied = self._applied(cast("list[Json]", operations))
        events: list[Event] = []
        if not self._announced:
            events.append(StateSnapshot(snapshot=self.value))
        events.append(StateDelta(delta=applied))
        self._tracked = changed
        self._announced = True
        return events

    async def send(self, change: Callable[[], list[Event]], emit: Callable[[Event], Awaitable[None]]) -> None:
        """Make a change and send its events.

        Changes that are made at the same time go out one after the other, in the order in which they were
        made. A change whose events do not all go out, because ``emit`` fails or is cancelled, is taken back.

        Args:
            change: Changes this state and returns the events that say so, as ``snapshot`` and ``delta`` do.
            emit: Sends one event.
        """
        async with self._sending:
            before, announced = self._tracked, self._announced
            events = change()
            sent = 0
            try:
                for event in events:
                    await emit(event)
                    sent += 1
            finally:
                if sent < len(events):
                    # The leading snapshot shows the state before the change.
                    self._tracked, self._announced = before, announced or sent > 0

    def observe(self, event: Event) -> None:
        """Take in a state event that reached the clients by another way; other events are ignored."""
        match event:
            case StateSnapshot():
                self._tracked = _copy(event.snapshot)
            case StateDelta():
                try:
                    self._tracked = apply_patch(self._tracked, _copy(event.delta))
                except PatchError:
                    # The clients leave such a patch out as well.
                    return
            case _:
                return
        self._announced = True

    def _applied(self, operations: list[Json]) -> tuple[Json, list[Json]]:
        """Return the state after all operations, and the operations with what had to be put before them."""
        changed = self._tracked
        applied: list[Json] = []
        for index, operation in enumerate(operations):
            try:
                wanted = _copy(operation)
                for step in (*missing_list(changed, wanted), wanted):
                    changed = apply_strictly(changed, _copy(step))
                    applied.append(step)
            except (ValueError, TypeError, RecursionError) as error:
                raise StatePatchError(f"{_COMPLAINT}: {index}: {error}") from error
        return changed, applied


_COMPLAINT: Final = "State delta could not be applied"


def state_events(tool_name: str, output: Json, state: SharedState) -> list[Event]:
    """Return the events that the result of a state tool causes, and apply them to ``state``.

    Args:
        tool_name: The name the tool was called by. Only the two state tools cause events.
        output: What the tool returned: an object, or the JSON text of one. Without the tool's own member it
            causes nothing.
        state: The run's state.

    Raises:
        StatePatchError: The delta does not fit the state; nothing was changed.
    """
    if tool_name not in STATE_TOOL_NAMES:
        return []
    result = decoded_once(output)
    if not isinstance(result, Mapping):
        return []
    members = cast("Mapping[str, Json]", result)
    if tool_name == STATE_SNAPSHOT_TOOL:
        return state.snapshot(decoded_once(members["snapshot"])) if "snapshot" in members else []
    return state.delta(decoded_once(members["delta"])) if "delta" in members else []


def decoded_once(value: Json) -> Json:
    """Return the object or list that a string holds as JSON, because models like to encode twice.

    Anything else, and a string that holds neither, is returned as it is.
    """
    if not isinstance(value, str) or value.lstrip()[:1] not in {"{", "["}:
        return value
    try:
        return decode_json(value)
    except ValueError:
        return value


def _copy(value: Json) -> Json:
    """Return the JSON form of a value as objects of its own."""
    return decode_json(encode_json(value))
