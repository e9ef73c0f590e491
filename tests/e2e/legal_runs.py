"""Random runs that are legal to send, with few ids, so that events meet each other's messages."""

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

Event = dict[str, Any]

_WORDS = st.text(alphabet='ab {}"\\:é\U0001f600', max_size=4)
_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.sampled_from(["", "x", "~/"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=5,
)
_OBJECTS = st.dictionaries(st.sampled_from("abc"), _VALUES, max_size=3)
_POINTERS = st.sampled_from(["", "/a", "/b", "/a/a", "/a/0", "/a/-", "/b/1", "/c/~0~1", "/missing/deep"])


def _operation() -> st.SearchStrategy[dict[str, Any]]:
    with_value = st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "replace", "test"]), "path": _POINTERS, "value": _VALUES}
    )
    plain = st.fixed_dictionaries({"op": st.just("remove"), "path": _POINTERS.filter(bool)})
    moving = st.fixed_dictionaries(
        {
            "op": st.sampled_from(["move", "copy"]),
            "from": _POINTERS.filter(bool),
            "path": _POINTERS.filter(bool),
        }
    )
    return with_value | plain | moving


_PATCHES = st.lists(_operation(), min_size=1, max_size=3)


class _Run:
    """What is open so far, and the events that may come next."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any], *, newest: bool) -> None:
        self.draw = draw
        self.newest = newest
        self.events: list[Event] = [{"type": "RUN_STARTED", "threadId": "t", "runId": "r"}]
        self.texts: set[str] = set()
        self.calls: set[str] = set()
        self.thoughts: set[str] = set()
        self.known_calls: set[str] = set()
        self.known_thoughts: set[str] = set()
        self.results = 0

    def step(self) -> None:
        """Add an event that is legal now."""
        choices = [
            self.start_text,
            self.start_call,
            self.think,
            self.answer,
            self.set_state,
            self.patch_state,
        ]
        choices += [self.set_activity, self.patch_activity, self.replace_messages, self.say_custom]
        choices += [self.continue_text, self.end_text] * 3 if self.texts else []
        choices += [self.continue_call, self.end_call] * 3 if self.calls else []
        choices += [self.continue_thought, self.end_thought] * 3 if self.thoughts else []
        choices += [self.seal_thought] if self.known_thoughts else []
        self.draw(st.sampled_from(choices))()

    def add(self, event_type: str, **fields: Any) -> None:
        """Add one event, with metadata now and then where the client knows it."""
        metadata = self.draw(
            st.none() | st.dictionaries(st.sampled_from("kl"), st.integers(0, 3), max_size=2)
        )
        extra = {"metadata": metadata} if self.newest and metadata is not None else {}
        self.events.append({"type": event_type, **fields, **extra})

    def pick(self, ids: set[str]) -> str:
        """One of the open ids."""
        return self.draw(st.sampled_from(sorted(ids)))

    def start_text(self) -> None:
        message_id = self.draw(st.sampled_from(["m1", "m2", "m3"]))
        if message_id not in self.texts:
            self.texts.add(message_id)
            role = self.draw(st.sampled_from(["assistant", "assistant", "user", "system", "developer"]))
            self.add("TEXT_MESSAGE_START", messageId=message_id, role=role)

    def continue_text(self) -> None:
        self.add(
            "TEXT_MESSAGE_CONTENT", messageId=self.pick(self.texts), delta=self.draw(_WORDS.filter(bool))
        )

    def end_text(self) -> None:
        message_id = self.pick(self.texts)
        self.texts.discard(message_id)
        self.add("TEXT_MESSAGE_END", messageId=message_id)

    def start_call(self) -> None:
        call_id = self.draw(st.sampled_from(["c1", "c2", "c3"]))
        if call_id in self.calls or (call_id in self.known_calls and not self.newest):
            return
        self.calls.add(call_id)
        self.known_calls.add(call_id)
        parent = self.draw(st.none() | st.sampled_from(["m1", "m2", "u1", "p1", "fresh"]))
        optional = {} if parent is None else {"parentMessageId": parent}
        name = self.draw(st.sampled_from(["look", "find"]))
        self.add("TOOL_CALL_START", toolCallId=call_id, toolCallName=name, **optional)

    def continue_call(self) -> None:
        self.add("TOOL_CALL_ARGS", toolCallId=self.pick(self.calls), delta=self.draw(_WORDS))

    def end_call(self) -> None:
        call_id = self.pick(self.calls)
        self.calls.discard(call_id)
        self.add("TOOL_CALL_END", toolCallId=call_id)

    def answer(self) -> None:
        self.results += 1
        call_id = self.draw(st.sampled_from(["c1", "c2", "c3", "unknown"]))
        content = self.draw(_WORDS)
        self.add(
            "TOOL_CALL_RESULT", messageId=f"r{self.results}", toolCallId=call_id, content=content, role="tool"
        )

    def think(self) -> None:
        message_id = self.draw(st.sampled_from(["t1", "t2"]))
        if message_id not in self.known_thoughts:
            self.thoughts.add(message_id)
            self.known_thoughts.add(message_id)
            self.events.append({"type": "REASONING_START", "messageId": message_id})
            self.add("REASONING_MESSAGE_START", messageId=message_id, role="reasoning")

    def continue_thought(self) -> None:
        delta = self.draw(_WORDS.filter(bool))
        self.add("REASONING_MESSAGE_CONTENT", messageId=self.pick(self.thoughts), delta=delta)

    def end_thought(self) -> None:
        message_id = self.pick(self.thoughts)
        self.thoughts.discard(message_id)
        self.add("REASONING_MESSAGE_END", messageId=message_id)
        self.events.append({"type": "REASONING_END", "messageId": message_id})

    def seal_thought(self) -> None:
        subtype = self.draw(st.sampled_from(["message", "tool-call"]))
        entity = self.draw(st.sampled_from(["t1", "t2", "m1", "u1", "c1", "p1"]))
        value = {"subtype": subtype, "entityId": entity, "encryptedValue": self.draw(_WORDS)}
        self.events.append({"type": "REASONING_ENCRYPTED_VALUE", **value})

    def set_state(self) -> None:
        self.events.append({"type": "STATE_SNAPSHOT", "snapshot": self.draw(_OBJECTS)})

    def patch_state(self) -> None:
        patch = self.draw(_PATCHES)
        if self.newest:
            # 1.0 shows null, false, 0 and "" as state; the others, and so the server, keep what they have.
            patch = [operation for operation in patch if operation["path"] or not _is_falsy(operation)]
        if patch:
            self.events.append({"type": "STATE_DELTA", "delta": patch})

    def set_activity(self) -> None:
        message_id = self.draw(st.sampled_from(["p1", "p1", "p2", "m3"] if self.newest else ["p1", "p2"]))
        replace = self.draw(st.sampled_from([None, True, False]))
        optional = {} if replace is None else {"replace": replace}
        kind = self.draw(st.sampled_from(["PLAN", "CHART"]))
        content = self.draw(_OBJECTS)
        self.add("ACTIVITY_SNAPSHOT", messageId=message_id, activityType=kind, content=content, **optional)

    def patch_activity(self) -> None:
        message_id = self.draw(st.sampled_from(["p1", "p2"]))
        # A patch of the whole content may leave no object, which is no activity any more.
        patch = [operation for operation in self.draw(_PATCHES) if operation["path"]]
        if patch:
            self.add("ACTIVITY_DELTA", messageId=message_id, activityType="PLAN", patch=patch)

    def replace_messages(self) -> None:
        if self.texts or self.calls or self.thoughts:
            return
        users = [
            {"id": "u1", "role": "user", "content": "one"},
            {"id": "u2", "role": "user", "content": "two"},
        ]
        others = [
            {"id": "m1", "role": "assistant", "content": "rewritten"},
            {"id": "new", "role": "assistant", "content": "added", "toolCalls": [_call("c9")]},
            {"id": "r9", "role": "tool", "toolCallId": "c9", "content": "nine"},
            {"id": "t1", "role": "reasoning", "content": "afterthought"},
        ]
        activities = [{"id": "p1", "role": "activity", "activityType": "PLAN", "content": {"kept": True}}]
        pool = users + others + (activities if self.newest else [])
        chosen = self.draw(
            st.lists(st.sampled_from(pool), unique_by=lambda message: message["id"], max_size=5)
        )
        self.events.append({"type": "MESSAGES_SNAPSHOT", "messages": chosen})

    def say_custom(self) -> None:
        self.events.append({"type": "CUSTOM", "name": "note", "value": self.draw(_VALUES)})

    def finish(self) -> list[Event]:
        """Close what is open and end the run."""
        for ids, end in (
            (self.thoughts, self.end_thought),
            (self.texts, self.end_text),
            (self.calls, self.end_call),
        ):
            while ids:
                end()
        return [*self.events, {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"}]


def _is_falsy(operation: dict[str, Any]) -> bool:
    value = operation.get("value", True)
    return not value and not isinstance(value, list | dict)


def _call(call_id: str) -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": "look", "arguments": "{}"}}


@st.composite
def legal_runs(draw: Any, *, newest: bool = True) -> list[Event]:
    """Events of one whole run; without `newest` only what 0.0.57 treats as later releases do."""
    run = _Run(draw, newest=newest)
    for _ in range(draw(st.integers(1, 25))):
        run.step()
    return run.finish()
