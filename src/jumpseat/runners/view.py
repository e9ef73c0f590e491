"""Planning what a thread shows: how a request's messages, or a run's, change the stored view.

Messages are compared by id. The rules are in docs/reference/runs.md, "Edits, regeneration, branches".
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import pairwise
from typing import Final

import msgspec

from jumpseat.protocol.codec import encode_json, encode_message, to_wire
from jumpseat.protocol.inputs import (
    ActivityMessage,
    AssistantMessage,
    Message,
    ReasoningMessage,
    ToolCall,
    ToolMessage,
    UserMessage,
)
from jumpseat.stores.base import Addition, Entry, Found, Located, Plan

__all__ = [
    "NoRoom",
    "RequestView",
    "ViewChange",
    "fold",
    "is_attached",
    "keys_beyond_request",
    "keys_to_locate",
    "plan_request",
    "plan_result",
    "replan_all",
]

STEP: Final = 1 << 20
_EMPTY: Final = b""


class NoRoom(Exception):
    """Two neighbouring positions have no integer between them: the view must be written anew."""


def is_attached(message: Message) -> bool:
    """Say whether a message belongs to the one before it and never counts as missing."""
    return isinstance(message, (ActivityMessage, ReasoningMessage))


def message_digest(message: Message) -> bytes:
    """Hash a message's id and what makes two versions of it differ; empty for attached messages."""
    if is_attached(message):
        return _EMPTY
    content = getattr(message, "content", None) or ""
    compared = [
        message.id,
        message.__struct_config__.tag,
        content if isinstance(content, str) else to_wire(content),
        [(call.id, call.function.name, call.function.arguments) for call in _calls(message)],
        message.tool_call_id if isinstance(message, ToolMessage) else "",
    ]
    return blake2b(encode_json(compared), digest_size=16).digest()


def fold(digests: Iterable[bytes], start: bytes = _EMPTY) -> bytes:
    """Return the rolling digest of a view: that of the messages before, joined by each next one."""
    rolling = start
    for digest in digests:
        if digest:
            rolling = blake2b(rolling + digest, digest_size=16).digest()
    return rolling


def aliases_of(message: Message) -> tuple[str, ...]:
    """Return the ids of a message's tool calls."""
    return tuple(call.id for call in _calls(message))


def addition(position: int, message: Message, digest: bytes | None = None) -> Addition:
    """Return ``message`` as something to be shown at ``position``."""
    return Addition(
        position=position,
        key=message.id,
        aliases=aliases_of(message),
        digest=message_digest(message) if digest is None else digest,
        data=encode_message(message),
    )


def _calls(message: Message) -> Sequence[ToolCall]:
    return (message.tool_calls or ()) if isinstance(message, AssistantMessage) else ()


class RequestView:
    """The messages of a request, each id once, with their digests.

    Attributes:
        messages: In request order.
        digests: One per message, empty for attached ones.
        digest_of: The same by message id.
    """

    def __init__(self, messages: Sequence[Message]) -> None:
        unique: dict[str, Message] = {}
        for message in messages:
            unique.setdefault(message.id, message)
        self.messages = list(unique.values())
        self.digests = [message_digest(message) for message in self.messages]
        self.digest_of = {
            message.id: digest for message, digest in zip(self.messages, self.digests, strict=True)
        }

    def matched(self, rolling: bytes | None) -> int | None:
        """Return how many messages the view with this rolling digest covers, ``None`` if others too."""
        if rolling is None:
            return None
        so_far = _EMPTY
        covered = 0 if so_far == rolling else None
        for index, digest in enumerate(self.digests):
            if digest:
                so_far = fold((digest,), so_far)
                covered = index + 1 if so_far == rolling else covered
        return covered


@dataclass(slots=True, kw_only=True)
class ViewChange:
    """What a request does to a thread.

    Attributes:
        plan: For the claim.
        new: Messages whose ids the view did not contain, in request order.
        parent: Ordinal of the run that this one follows, ``None`` for the first.
        complete: The request holds every message of the view that is not attached to another.
    """

    plan: Plan
    new: list[Message]
    parent: int | None
    complete: bool


@dataclass(slots=True)
class _Draft:
    """Collects hidden positions and additions; ``digests`` holds those that are known, by message id."""

    digests: Mapping[str, bytes]
    hide: list[int] = field(default_factory=list[int])
    add: list[Addition] = field(default_factory=list[Addition])

    def replace(self, found: Found, message: Message, digest: bytes) -> None:
        self.hide.append(found.position)
        self.add.append(addition(found.position, message, digest))

    def append(self, last: int, messages: Sequence[Message]) -> None:
        self.add += [
            addition(last + STEP * place, message, self.digests.get(message.id))
            for place, message in enumerate(messages, 1)
        ]

    def insert(self, lower: int, upper: int, messages: Sequence[Message]) -> None:
        room = upper - lower
        if room <= len(messages):
            raise NoRoom
        for place, message in enumerate(messages, 1):
            position = lower + room * place // (len(messages) + 1)
            self.add.append(addition(position, message, self.digests.get(message.id)))


def keys_to_locate(view: RequestView, located: Located) -> list[str]:
    """Say which ids must be looked up before ``plan_request`` can plan."""
    if located.version == 0:
        return []
    covered = view.matched(located.digest)
    if covered is None:
        return [message.id for message in view.messages]
    return [message.id for message in view.messages[covered:] if is_attached(message)]


def plan_request(view: RequestView, located: Located) -> ViewChange:
    """Plan how a request's messages change the view.

    Args:
        view: The request.
        located: The thread, with all that ``keys_to_locate`` asked for.

    Raises:
        NoRoom: Call ``replan_all`` with the whole view instead.
    """
    located = _by_own_id(located)
    covered = 0 if located.version == 0 else view.matched(located.digest)
    known = {message.id for message in view.messages if message.id in located.found}
    if covered is not None or not known:
        new = [message for message in view.messages[covered or 0 :] if message.id not in known]
        draft = _Draft(view.digest_of)
        draft.append(located.last_position, new)
        complete = covered is not None
        plan = Plan(
            version=located.version, add=tuple(draft.add), digest=fold(view.digests) if complete else None
        )
        return ViewChange(plan=plan, new=new, parent=located.runs or None, complete=complete)
    return _plan_located(view, located, known)


def _by_own_id(located: Located) -> Located:
    """Leave out what was found under the id of a tool call: a message may have the id of another's call."""
    found = {key: entry for key, entry in located.found.items() if entry.key == key}
    return located if len(found) == len(located.found) else msgspec.structs.replace(located, found=found)


def _plan_located(view: RequestView, located: Located, known: set[str]) -> ViewChange:
    last_message = max(
        (message for message in view.messages if message.id in known),
        key=lambda message: located.found[message.id].position,
    )
    last = located.found[last_message.id]
    draft = _Draft(view.digest_of)
    new = [message for message in view.messages if message.id not in known]
    behind: list[Message] = []
    # A request in another order than the view may name one gap twice.
    gaps: dict[tuple[int, int], list[Message]] = {}
    for group, before, after in _unknown_groups(view.messages, known):
        gap = _gap(located, last, before, after)
        if gap is None:
            behind += group
        else:
            gaps.setdefault(gap, []).extend(group)
    for (lower, upper), group in gaps.items():
        draft.insert(lower, upper, group)
    draft.append(located.last_position, behind)
    for message, digest in zip(view.messages, view.digests, strict=True):
        found = located.found.get(message.id)
        if found is not None and digest != found.digest and digest:
            draft.replace(found, message, digest)
    cut = located.last_position > last.position
    parent = max(entry.shown_from for entry in located.found.values()) if cut else located.runs
    plan = Plan(
        version=located.version,
        hide_after=last.position if cut else None,
        # What a run left beside its answer to a question goes with that answer.
        keep_attached=not isinstance(last_message, UserMessage),
        hide=tuple(draft.hide),
        add=tuple(draft.add),
    )
    return ViewChange(plan=plan, new=new, parent=parent or None, complete=False)


def _gap(located: Located, last: Found, before: str | None, after: str | None) -> tuple[int, int] | None:
    """Return the positions around the place of unknown messages, ``None`` at the end of the view."""
    if before is None and after is not None:
        successor = located.found[after]
        return successor.previous or 0, successor.position
    if before is not None and located.found[before].position < last.position:
        predecessor = located.found[before]
        return predecessor.position, predecessor.next or last.position
    return None


def _unknown_groups(
    messages: Sequence[Message], known: set[str]
) -> list[tuple[list[Message], str | None, str | None]]:
    """Return runs of unknown messages with the ids of the known ones before and behind them."""
    groups: list[tuple[list[Message], str | None, str | None]] = []
    current: list[Message] = []
    before: str | None = None
    for message in messages:
        if message.id not in known:
            current.append(message)
            continue
        if current:
            groups.append((current, before, message.id))
            current = []
        before = message.id
    if current:
        groups.append((current, before, None))
    return groups


def replan_all(view: RequestView, located: Located, entries: Sequence[Entry]) -> ViewChange:
    """Plan as ``plan_request`` where there is no room, writing every position of the view anew."""
    scaled = Located(
        version=located.version,
        digest=located.digest,
        last_position=located.last_position * STEP,
        runs=located.runs,
        found={key: _scaled(found) for key, found in located.found.items()},
    )
    change = plan_request(view, scaled)
    plan = change.plan
    kept = {
        entry.position * STEP: Addition(
            position=0, key=entry.key, aliases=entry.aliases, digest=entry.digest, data=entry.data
        )
        for entry in _surviving(entries, plan)
    }
    kept.update({added.position: added for added in plan.add})
    rewritten = tuple(
        Addition(position=STEP * place, key=one.key, aliases=one.aliases, digest=one.digest, data=one.data)
        for place, (_, one) in enumerate(sorted(kept.items()), 1)
    )
    change.plan = Plan(version=plan.version, hide_after=0, add=rewritten, digest=plan.digest)
    return change


def _scaled(found: Found) -> Found:
    def grow(position: int | None) -> int | None:
        return None if position is None else position * STEP

    return Found(
        found.key,
        found.position * STEP,
        found.digest,
        found.shown_from,
        grow(found.previous),
        grow(found.next),
    )


def _surviving(entries: Sequence[Entry], scaled_plan: Plan) -> list[Entry]:
    """Return the entries that a plan in scaled positions leaves visible."""
    cut_after = scaled_plan.hide_after
    keeping = scaled_plan.keep_attached
    kept: list[Entry] = []
    for entry in entries:
        behind = cut_after is not None and entry.position * STEP > cut_after
        if behind and entry.digest:
            keeping = False
        if (not behind or (keeping and not entry.digest)) and entry.position * STEP not in scaled_plan.hide:
            kept.append(entry)
    return kept


def keys_beyond_request(messages: Sequence[Message], touched: set[str], sent: Container[str]) -> set[str]:
    """Say which ids name something that the run worked on without its request holding it, if the view does.

    Args:
        messages: The request's and the run's messages.
        touched: Ids that the run added or changed.
        sent: Ids of the request's messages.
    """
    calls = {call.id for message in messages for call in _calls(message)}
    keys: set[str] = set()
    for message in messages:
        if message.id in touched and message.id not in sent:
            keys.add(message.id)
            keys.update(call.id for call in _calls(message))
            if isinstance(message, ToolMessage) and message.tool_call_id not in calls:
                keys.add(message.tool_call_id)
    return keys


def keys_of_result(messages: Sequence[Message], touched: set[str]) -> list[str]:
    """Say which ids must be looked up before ``plan_result`` can plan."""
    keys = dict.fromkeys(touched)
    for before, message in pairwise(messages):
        if message.id in touched:
            keys[before.id] = None
    return list(keys)


def plan_result(
    messages: Sequence[Message],
    touched: set[str],
    located: Located,
    known_digests: Mapping[str, bytes],
    *,
    complete: bool,
) -> Plan:
    """Plan how a run's own messages change the view its request left.

    Args:
        messages: The request's and the run's messages in order.
        touched: Ids that the run added or changed.
        located: The thread, with all that ``keys_of_result`` asked for.
        known_digests: Digests of messages that were not touched, by id.
        complete: ``messages`` hold the whole view, attached messages aside.

    Raises:
        NoRoom: Use ``plan_snapshot`` with the whole view instead.
    """
    located = _by_own_id(located)
    draft = _Draft({})
    last = located.last_position
    digests: list[bytes] = []
    inserted: dict[str, tuple[int, int]] = {}
    tail = _new_tail(messages, touched, located)
    for index, message in enumerate(messages):
        if message.id not in touched:
            digests.append(known_digests.get(message.id) or message_digest(message))
            continue
        digest = message_digest(message)
        digests.append(digest)
        found = located.found.get(message.id)
        if found is not None:
            draft.replace(found, message, digest)
            continue
        gap = _gap_behind(messages[index - 1].id, located, inserted) if 0 < index < tail else None
        if gap is None:
            last += STEP
            draft.add.append(addition(last, message, digest))
            continue
        draft.insert(*gap, [message])
        inserted[message.id] = draft.add[-1].position, gap[1]
    return Plan(hide=tuple(draft.hide), add=tuple(draft.add), digest=fold(digests) if complete else None)


def _new_tail(messages: Sequence[Message], touched: set[str], located: Located) -> int:
    """Return the index from which on all messages are new: they go behind everything the view has."""
    tail = len(messages)
    while tail and messages[tail - 1].id in touched and messages[tail - 1].id not in located.found:
        tail -= 1
    return tail


def _gap_behind(
    before: str, located: Located, inserted: Mapping[str, tuple[int, int]]
) -> tuple[int, int] | None:
    """Return the free positions behind a message in the middle of the view, ``None`` at its end."""
    if before in inserted:
        return inserted[before]
    found = located.found.get(before)
    if found is None or found.next is None:
        return None
    return found.position, found.next


def plan_snapshot(messages: Sequence[Message], entries: Sequence[Entry], last_position: int) -> Plan:
    """Plan how the view becomes exactly ``messages``: what is alike at its beginning stays where it is."""
    digests = [message_digest(message) for message in messages]
    draft = _Draft({message.id: digest for message, digest in zip(messages, digests, strict=True)})
    alike = 0
    for entry, message, digest in zip(entries, messages, digests, strict=False):
        if entry.key != message.id:
            break
        if entry.data != encode_message(message):
            draft.hide.append(entry.position)
            draft.add.append(addition(entry.position, message, digest))
        alike += 1
    cut_after = (entries[alike - 1].position if alike else 0) if alike < len(entries) else None
    draft.append(last_position, messages[alike:])
    return Plan(hide_after=cut_after, hide=tuple(draft.hide), add=tuple(draft.add), digest=fold(digests))
