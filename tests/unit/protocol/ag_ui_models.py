"""Builds one event of every model class of the installed ag_ui version and prints what the codec makes of it.

Run by the tests in an environment that has ``ag-ui-protocol`` besides our own dependencies.
"""

import json
from typing import Any

import ag_ui.core
from ag_ui.core import BaseEvent

from jumpseat.errors import JumpseatError
from jumpseat.protocol.codec import accept, decode, encode

VALUES: dict[str, Any] = {
    "message_id": "m",
    "tool_call_id": "c",
    "tool_call_name": "f",
    "thread_id": "t",
    "run_id": "r",
    "step_name": "s",
    "subagent_run_id": "a",
    "activity_type": "x",
    "entity_id": "m",
    "encrypted_value": "v",
    "subtype": "message",
    "message": "broken",
    "name": "n",
    "role": "reasoning",
    "delta": "d",
    "content": "text",
    "snapshot": {"a": [1]},
    "event": {"e": 1},
    "value": {"v": 1},
    "patch": [{"op": "add", "path": "/a", "value": 1}],
    "messages": [
        {"id": "u", "role": "user", "content": [{"type": "text", "text": "hi"}]},
        {
            "id": "a",
            "role": "assistant",
            "toolCalls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}],
        },
        {"id": "t", "role": "tool", "toolCallId": "c", "content": "42"},
    ],
}
SPECIAL: dict[str, dict[str, Any]] = {
    "StateDeltaEvent": {"delta": VALUES["patch"]},
    "ActivitySnapshotEvent": {"content": {"a": 1}},
    "RunStartedEvent": {},
}


def build(model: type[BaseEvent]) -> BaseEvent:
    """Return an event with a value for every required field."""
    needed = {name: VALUES[name] for name, field in model.model_fields.items() if field.is_required()}
    return model.model_validate({**needed, **SPECIAL.get(model.__name__, {})})


def outcome(model: type[BaseEvent]) -> dict[str, Any]:
    """Return what became of an event: its bytes as JSON, or the error."""
    event = build(model)
    try:
        accepted = accept(event)
    except JumpseatError as error:
        return {"error": type(error).__name__}
    encoded = encode(accepted)
    given = json.loads(event.model_dump_json(by_alias=True, exclude_none=True))
    return {"given": given, "sent": json.loads(encoded), "stable": decode(encoded) == accepted}


def main() -> None:
    """Print the outcome of every model class by its name."""
    models = [
        model
        for model in vars(ag_ui.core).values()
        if isinstance(model, type) and issubclass(model, BaseEvent) and model is not BaseEvent
    ]
    print(json.dumps({model.__name__: outcome(model) for model in models}))


if __name__ == "__main__":
    main()
