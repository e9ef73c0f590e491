"""Runs in which clients and servers easily come to differ, always the same ones."""

from typing import Any

from e2e.legal_runs import Event
from e2e.script import (
    Step,
    activity,
    call,
    emit,
    open_call,
    open_text,
    reasoning,
    result,
    text,
)

# The history has a user message u1, an activity p0 and an answer a0; the state is {"a": [1], "b": {"a": 2}}.


def _more(message_id: str, delta: str) -> Step:
    return emit("TEXT_MESSAGE_CONTENT", messageId=message_id, delta=delta)


def _end(message_id: str) -> Step:
    return emit("TEXT_MESSAGE_END", messageId=message_id)


def _state(snapshot: Any) -> Step:
    return emit("STATE_SNAPSHOT", snapshot=snapshot)


def _patch(*operations: tuple[Any, ...]) -> Step:
    """A delta of (op, path, value) triples; of (op, from, path) for move and copy."""
    delta: list[dict[str, Any]] = []
    for op, *rest in operations:
        if op in ("move", "copy"):
            delta.append({"op": op, "from": rest[0], "path": rest[1]})
        else:
            delta.append({"op": op, "path": rest[0], **({"value": rest[1]} if op != "remove" else {})})
    return emit("STATE_DELTA", delta=delta)


def _activity_patch(message_id: str, *delta: dict[str, Any]) -> Step:
    return emit("ACTIVITY_DELTA", messageId=message_id, activityType="PLAN", patch=list(delta))


def _snapshot(*messages: dict[str, Any]) -> Step:
    return emit("MESSAGES_SNAPSHOT", messages=list(messages))


def _sealed(subtype: str, entity: str) -> Step:
    return emit("REASONING_ENCRYPTED_VALUE", subtype=subtype, entityId=entity, encryptedValue="sealed")


_USER = {"id": "u1", "role": "user", "content": "hello"}
_ANSWER = {"id": "a0", "role": "assistant", "content": "earlier"}

_HARD: dict[str, list[Step]] = {
    "two messages grow in turns": [
        *open_text("m1", "one "),
        *open_text("m2", "uno "),
        _more("m1", "two"),
        _more("m2", "dos"),
        _end("m1"),
        _more("m2", " tres"),
        _end("m2"),
    ],
    "a message is opened again": [*text("m1", "one"), *text("m1", "two")],
    "an earlier answer is opened again": text("a0", " and more"),
    "the message of a user is continued": text("u1", " world"),
    "a message stays empty": text("m1"),
    "marks and emoji are split between deltas": text(
        "m1", "`", "``\n", "e", "\u0301", "\U0001f468", "\u200d"
    ),
    "a call belongs to a message that still grows": [
        *open_text("m1", "let me "),
        *call("c1", "look", '{"a"', ":1}", parent="m1"),
        _more("m1", "see"),
        _end("m1"),
    ],
    "a call belongs to an earlier answer": call("c1", "look", "{}", parent="a0"),
    "a call belongs to the message of a user": call("c1", "look", "{}", parent="u1"),
    "a call belongs to an activity": call("c1", "look", "{}", parent="p0"),
    "a call belongs to a message that comes later": [*call("c1", "look", parent="m9"), *text("m9", "late")],
    "a call has its own id for a parent": call("c1", "look", "{}", parent="c1"),
    "two calls grow in turns": [
        *open_call("c1", "look", '{"a":', parent="m1"),
        *open_call("c2", "find", "[", parent="m1"),
        emit("TOOL_CALL_ARGS", toolCallId="c1", delta="1}"),
        emit("TOOL_CALL_ARGS", toolCallId="c2", delta="]"),
        emit("TOOL_CALL_END", toolCallId="c2"),
        emit("TOOL_CALL_END", toolCallId="c1"),
    ],
    "arguments are no JSON": call("c1", "look", '{"a', "", " \\", parent="m1"),
    "a result comes before its call": [result("c1", "early"), *call("c1", "look", "{}")],
    "a call has two results": [
        *call("c1", "look", "{}"),
        result("c1", "one"),
        emit("TOOL_CALL_RESULT", messageId="r2", toolCallId="c1", content="two", role="tool"),
    ],
    "a snapshot takes a message away that comes back": [
        *text("m1", "one"),
        _snapshot(_USER),
        *text("m1", "again"),
    ],
    "a snapshot changes the order": [*text("m1", "one"), _snapshot(_ANSWER, _USER)],
    "a snapshot is empty": [*text("m1", "one"), _snapshot(), *text("m2", "two")],
    "a snapshot rewrites a call": [
        *call("c1", "look", '{"a":1}', parent="m1"),
        _snapshot(
            _USER,
            {
                "id": "m1",
                "role": "assistant",
                "toolCalls": [{"id": "c1", "type": "function", "function": {"name": "x", "arguments": "{}"}}],
            },
        ),
        result("c1", "done"),
    ],
    "thoughts surround an answer": [
        *reasoning("t1", "hm", "m"),
        *text("m1", "so"),
        *reasoning("t2", "aha"),
        _sealed("message", "t1"),
        _sealed("message", "m1"),
    ],
    "something unknown is sealed": [_sealed("message", "nobody"), _sealed("tool-call", "nobody")],
    "a call is sealed": [*call("c1", "look", "{}"), _sealed("tool-call", "c1")],
    "an activity must not replace": [activity("p1", {"a": 1}), activity("p1", {"a": 2}, replace=False)],
    "an activity replaces one of another kind": [
        activity("p1", {"a": [1]}),
        emit("ACTIVITY_SNAPSHOT", messageId="p1", activityType="CHART", content={}),
    ],
    "an old activity is patched": [_activity_patch("p0", {"op": "add", "path": "/new", "value": [1]})],
    "a patch of an activity fails halfway": [
        activity("p1", {"a": 1}),
        _activity_patch(
            "p1", {"op": "replace", "path": "/a", "value": 2}, {"op": "remove", "path": "/missing"}
        ),
    ],
    "a patch tests true against 1": [
        _state({"one": 1, "zero": 0}),
        _patch(("test", "/one", True), ("add", "/x", 1)),
    ],
    "a patch tests false against 0": [
        _state({"zero": 0}),
        _patch(("test", "/zero", False), ("add", "/x", 1)),
    ],
    "a patch tests 1.0 against 1": [_state({"one": 1}), _patch(("test", "/one", 1.0), ("add", "/x", 1))],
    "a patch tests an object with its keys in another order": [
        _state({"o": {"a": 1, "b": [2]}}),
        _patch(("test", "/o", {"b": [2], "a": 1}), ("add", "/x", 1)),
    ],
    "a patch tests null against nothing": [_patch(("test", "/missing", None), ("add", "/x", 1))],
    "a patch fails in its last operation": [_patch(("add", "/x", 1), ("remove", "/missing"))],
    "a later patch follows one that failed": [_patch(("remove", "/missing")), _patch(("add", "/x", 1))],
    "a patch goes through escaped keys": [
        _state({"~": {"/": 1}, "": {"": 2}}),
        _patch(("replace", "/~0/~1", 3), ("replace", "//", 4)),
    ],
    "a patch appends, inserts and removes in a list": [
        _patch(("add", "/a/-", 2), ("add", "/a/0", 0), ("remove", "/a/1"), ("add", "/a/2", 9))
    ],
    "a patch inserts behind the end of a list": [_patch(("add", "/a/7", 1))],
    "a patch names an index with a leading zero": [_patch(("add", "/a/00", 1))],
    "a patch names no index of a list": [_patch(("add", "/a/x", 1))],
    "a patch moves a value into itself": [_patch(("move", "/b", "/b/a"))],
    "a patch copies what it changes afterwards": [_patch(("copy", "/b", "/c"), ("replace", "/c/a", 3))],
    "a patch replaces everything": [_patch(("replace", "", {"new": 1})), _patch(("add", "/more", 2))],
    "a patch makes the state a list": [_patch(("replace", "", [1])), _patch(("add", "/-", 2))],
    "a patch descends into a text": [_state({"s": "abc"}), _patch(("add", "/s/0", "x"))],
    "a patch holds null": [_patch(("add", "/n", None)), _patch(("replace", "/n", {"a": None}))],
    "numbers are large, small and negative zero": [_state({"n": [1e21, 1e-7, -0.0, 2**53, 0.1]})],
    "steps, raw and custom events pass by": [
        emit("STEP_STARTED", stepName="s"),
        emit("RAW", event={"anything": [1]}),
        emit("CUSTOM", name="note", value=None),
        emit("STEP_FINISHED", stepName="s"),
    ],
}

_HARD_BEFORE_1_0: dict[str, list[Step]] = {
    "state becomes null and is patched": [_state(None), _patch(("add", "/x", 1)), _state({"y": 1})],
    "state becomes zero": [_state(0)],
    "state becomes an empty text": [_state("")],
}

_HARD_FROM_1_0: dict[str, list[Step]] = {
    "metadata adds up": [
        emit("TEXT_MESSAGE_START", messageId="m1", role="assistant", metadata={"k": 1}),
        emit("TEXT_MESSAGE_CONTENT", messageId="m1", delta="x", metadata={"l": 2}),
        emit("TEXT_MESSAGE_CONTENT", messageId="m1", delta="y", metadata={"k": 3}),
        emit("TEXT_MESSAGE_END", messageId="m1", metadata={}),
    ],
    "a call is opened again": [*call("c1", "look", "{}"), *call("c1", "find", "[]")],
    "an activity takes the id of a message": [*text("m3", "text"), activity("m3", {"a": 1})],
    "a snapshot holds an activity": [
        activity("p1", {"a": 1}),
        _snapshot(_USER, {"id": "p1", "role": "activity", "activityType": "PLAN", "content": {"b": 2}}),
    ],
}


def _events(steps: list[Step]) -> list[Event]:
    ends = {"threadId": "t", "runId": "r"}
    return [
        {"type": "RUN_STARTED", **ends},
        *(step["emit"] for step in steps),
        {"type": "RUN_FINISHED", **ends},
    ]


def hard_runs(release: str) -> dict[str, list[Event]]:
    """Whole runs by what is hard about them; those that the release reads as others do not are its own."""
    own = _HARD_FROM_1_0 if release == "client1" else _HARD_BEFORE_1_0
    return {name: _events(steps) for name, steps in {**_HARD, **own}.items()}
