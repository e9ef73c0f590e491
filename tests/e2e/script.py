"""Steps for the scripted agents, and how a test reads the messages of a tab."""

from collections.abc import Iterable
from typing import Any

Step = dict[str, Any]
Report = dict[str, Any]


def emit(event_type: str, /, **fields: Any) -> Step:
    """Send one event."""
    return {"emit": {"type": event_type, **fields}}


def gate(name: str) -> Step:
    """Wait until the test opens the gate."""
    return {"gate": name}


def fail(text: str) -> Step:
    """Raise an exception."""
    return {"raise": text}


def silence() -> Step:
    """Say nothing until cancelled."""
    return {"silence": True}


def text(message_id: str, *deltas: str) -> list[Step]:
    """A whole text message of the assistant."""
    return [*open_text(message_id, *deltas), emit("TEXT_MESSAGE_END", messageId=message_id)]


def open_text(message_id: str, *deltas: str) -> list[Step]:
    """A text message that is not ended."""
    start = emit("TEXT_MESSAGE_START", messageId=message_id, role="assistant")
    return [start, *(emit("TEXT_MESSAGE_CONTENT", messageId=message_id, delta=delta) for delta in deltas)]


def call(call_id: str, name: str, *arguments: str, parent: str | None = None) -> list[Step]:
    """A whole tool call without its result."""
    return [*open_call(call_id, name, *arguments, parent=parent), emit("TOOL_CALL_END", toolCallId=call_id)]


def open_call(call_id: str, name: str, *arguments: str, parent: str | None = None) -> list[Step]:
    """A tool call that is not ended."""
    optional = {} if parent is None else {"parentMessageId": parent}
    start = emit("TOOL_CALL_START", toolCallId=call_id, toolCallName=name, **optional)
    return [start, *(emit("TOOL_CALL_ARGS", toolCallId=call_id, delta=delta) for delta in arguments)]


def result(call_id: str, content: str) -> Step:
    """The result of a tool call."""
    return emit(
        "TOOL_CALL_RESULT", messageId=f"{call_id}-answer", toolCallId=call_id, content=content, role="tool"
    )


def reasoning(message_id: str, *deltas: str) -> list[Step]:
    """A whole reasoning span with one message."""
    return [
        *open_reasoning(message_id, *deltas),
        emit("REASONING_MESSAGE_END", messageId=message_id),
        emit("REASONING_END", messageId=message_id),
    ]


def open_reasoning(message_id: str, *deltas: str) -> list[Step]:
    """A reasoning span whose message and whose span are not ended."""
    return [
        emit("REASONING_START", messageId=message_id),
        emit("REASONING_MESSAGE_START", messageId=message_id, role="reasoning"),
        *(emit("REASONING_MESSAGE_CONTENT", messageId=message_id, delta=delta) for delta in deltas),
    ]


def activity(message_id: str, content: dict[str, Any], *, replace: bool | None = None) -> Step:
    """The whole content of an activity."""
    optional = {} if replace is None else {"replace": replace}
    return emit("ACTIVITY_SNAPSHOT", messageId=message_id, activityType="PLAN", content=content, **optional)


def interrupt(*interrupts: dict[str, Any]) -> Step:
    """End the run with questions to answer."""
    return emit(
        "RUN_FINISHED", threadId="-", runId="-", outcome={"type": "interrupt", "interrupts": list(interrupts)}
    )


def rich_turn() -> list[Step]:
    """One of everything: a step, reasoning, a call with its result, an activity, state and text."""
    return [
        emit("STEP_STARTED", stepName="plan"),
        *reasoning("reason-1", "let me ", "think"),
        emit("STATE_SNAPSHOT", snapshot={"count": 1, "items": ["a"]}),
        *text("said-1", "I will ", "look"),
        *call("call-1", "lookup", '{"q":', '"x"}', parent="said-1"),
        activity("plan-1", {"done": 0, "steps": ["one", "two"]}),
        result("call-1", "found"),
        emit(
            "ACTIVITY_DELTA",
            messageId="plan-1",
            activityType="PLAN",
            patch=[{"op": "replace", "path": "/done", "value": 1}],
        ),
        emit("STATE_DELTA", delta=[{"op": "add", "path": "/items/-", "value": "b"}]),
        *text("said-2", "There ", "it ", "is"),
        emit("STEP_FINISHED", stepName="plan"),
    ]


def types(report: Report) -> list[str]:
    """The types of the events a tab has seen, in order."""
    return [event["type"] for event in report["events"]]


def shown(messages: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Messages as a page shows them: what an id, a role and their content say, without empty decoration."""
    kept = ("id", "role", "content", "toolCalls", "toolCallId", "activityType", "name", "encryptedValue")
    return [
        {key: message[key] for key in kept if message.get(key) not in (None, "", [])} for message in messages
    ]


def problems(report: Report) -> list[Any]:
    """Everything that went wrong in a tab: failed runs, rejected promises, errors of the engine."""
    return [
        *report["failures"],
        *report.get("coreErrors", []),
        *([report["rejected"]] if report.get("rejected") else []),
    ]
