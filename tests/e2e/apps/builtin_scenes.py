"""A model for the end-to-end tests: the first word of the newest message says which scene it plays.

A scene has one generation for each round of tool results behind that message. Its items are parts of a
model's answer as dicts; a string is a piece of text, a function makes one of the request, an exception is
raised, and `GATE` waits until the test opens the gate that the second word of the message names.
"""

import asyncio
import json
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec

from jumpseat.agents.builtin.language_model import AssistantTurn, ModelRequest, ToolReturn, UserTurn

GATE = object()
"""Waits for the gate."""

opened: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""The gates, by name."""

reached: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
"""Set when somebody waits at the gate."""


def _call(call_id: str, name: str, **arguments: Any) -> list[dict[str, Any]]:
    """A call whose arguments come in pieces."""
    text = json.dumps(arguments)
    middle = len(text) // 2
    return [
        {"type": "tool-input-start", "id": call_id, "name": name},
        {"type": "tool-input-delta", "id": call_id, "delta": text[:middle]},
        {"type": "tool-input-delta", "id": call_id, "delta": text[middle:]},
        {"type": "tool-call", "id": call_id, "name": name},
    ]


def _thought(*deltas: str, **end: Any) -> list[dict[str, Any]]:
    return [
        {"type": "reasoning-start"},
        *({"type": "reasoning-delta", "delta": delta} for delta in deltas),
        {"type": "reasoning-end", **end},
    ]


def _used(reason: str, **tokens: Any) -> dict[str, Any]:
    return {"type": "finish", "reason": reason, "usage": tokens}


def _told(call_id: str) -> Callable[[ModelRequest], str]:
    """Says what the model was given as the result of a call."""

    def text(request: ModelRequest) -> str:
        results = [m for m in request.messages if isinstance(m, ToolReturn) and m.tool_call_id == call_id]
        return f"I was told {[result.content for result in results]}"

    return text


def _received(request: ModelRequest) -> str:
    """Says what the model was told, as JSON."""
    return msgspec.json.encode([{"of": type(m).__name__, "is": m} for m in request.messages]).decode()


_SIGNED = {"signature": "signed-by-them", "provider": "scripted"}

SCENES: dict[str, list[list[Any]]] = {
    "text": [["Good ", "", "day"]],
    "recall": [[_received]],
    "think": [[*_thought("Let me ", "think", **_SIGNED), "Thought about it"]],
    "look": [
        [
            *_thought("I could look it up", **_SIGNED),
            "I will look",
            *_call("call_look", "lookup", q="x"),
            _used("tool_call", inputTokens=10, outputTokens=5),
        ],
        [
            *_thought("There it is"),
            "It is x!",
            _used("stop", inputTokens=20, outputTokens=6, reasoningTokens=2, cachedInputTokens=8),
        ],
    ],
    "odd-usage": [["Counted oddly", _used("stop", inputTokens=1.5, outputTokens=-3, totalTokens=2**60)]],
    "some-usage": [["Counted", _used("stop", inputTokens=2**53 - 1, outputTokens=None, totalTokens="7")]],
    "both": [[*_call("call_1", "lookup", q="one"), *_call("call_2", "lookup", q="two")], ["Both are there"]],
    "hidden": [
        [
            {"type": "reasoning-end", **_SIGNED},
            *_call("call_hidden", "lookup", q="y"),
        ],
        ["Nothing to see"],
    ],
    # Ids as providers send them: counters, empty ones, one for two blocks, one for two calls.
    "ids": [
        [
            {"type": "text-start", "id": "0"},
            {"type": "text-delta", "id": "0", "delta": "one"},
            {"type": "text-end", "id": "0"},
            {"type": "reasoning-start", "id": "shared-id"},
            {"type": "reasoning-delta", "id": "shared-id", "delta": "two"},
            {"type": "reasoning-end", "id": "shared-id"},
            {"type": "text-start", "id": "shared-id"},
            {"type": "text-delta", "id": "shared-id", "delta": "three"},
            {"type": "text-end", "id": "shared-id"},
            *_call("", "lookup", q="a"),
            *_call("same", "lookup", q="b"),
        ],
        [
            {"type": "text-start", "id": "0"},
            {"type": "text-delta", "id": "0", "delta": "four"},
            *_call("same", "lookup", q="c"),
        ],
        [
            {"type": "text-start", "id": "msg_kept"},
            {"type": "text-delta", "id": "msg_kept", "delta": "five"},
        ],
    ],
    "progress": [_call("call_slow", "copy_files", count=3), ["Copied"]],
    "slow-progress": [_call("call_slower", "copy_slowly"), ["Copied slowly"]],
    "edit": [
        [
            "Here",
            *_call("call_snapshot", "AGUISendStateSnapshot", snapshot={"items": ["milk"], "note": "é"}),
        ],
        _call("call_delta", "AGUISendStateDelta", delta=[{"op": "add", "path": "/items/-", "value": "eggs"}]),
        _call("call_wrong", "AGUISendStateDelta", delta=[{"op": "remove", "path": "/nothing"}]),
        ["Milk and eggs"],
    ],
    "add": [
        _call("call_add", "AGUISendStateDelta", delta=[{"op": "add", "path": "/items/-", "value": "bread"}]),
        ["Bread too"],
    ],
    "count": [_call("call_count", "count_up"), ["Counted"]],
    "approve": [
        ["May I?", *_call("call_book", "book_flight", to="Lisbon"), *_call("call_side", "lookup", q="z")],
        [_told("call_book")],
    ],
    "approve-two": [
        [*_call("call_there", "book_flight", to="Lisbon"), *_call("call_back", "book_flight", to="Oslo")],
        [_told("call_there"), ", ", _told("call_back")],
    ],
    "paint": [["Of course", *_call("call_paint", "change_accent_color", color="teal")], ["Painted"]],
    "confirm": [_call("call_confirm", "confirm_action", action="Delete it"), ["Decided"]],
    "mixed": [
        [*_call("call_own", "lookup", q="o"), *_call("call_page", "paint_page", color="red")],
        ["Done"],
    ],
    "broken": [
        [*_thought("Hm"), *_call("call_lost", "lookup", q="l"), "and th", OSError("the line is dead")]
    ],
    "wait": [[*_thought("Slowly"), "half a", GATE, " sentence"]],
    "wait-thinking": [[{"type": "reasoning-start"}, {"type": "reasoning-delta", "delta": "Hm"}, GATE]],
    "wait-calling": [[*_call("call_cut", "lookup", q="cut")[:2], GATE]],
    "wait-working": [_call("call_work", "work_for_ever"), ["Never"]],
    "fail-tool": [[*_call("call_bad", "always_fails"), *_call("call_none", "no_such_tool")], ["It failed"]],
    "story": [[*(f"word{number} " for number in range(30)), GATE, "the end"]],
}


class Scenes:
    """The model."""

    provider = "scripted"
    model = "scenes"

    async def stream(self, request: ModelRequest) -> AsyncIterator[Any]:
        """Play the next generation of the scene."""
        if [tool.name for tool in request.tools] == ["copilotkitSuggest"]:
            for part in _suggestion(request):
                yield part
            return
        words = _newest_text(request).split()
        scene = words[0].lower()
        gate = words[1] if len(words) > 1 else ""
        called = finished = False
        for item in SCENES[scene][_rounds(request)]:
            if item is GATE:
                reached[gate].set()
                await opened[gate].wait()
                continue
            if isinstance(item, BaseException):
                raise item
            said = item(request) if callable(item) else item
            part = {"type": "text-delta", "delta": said} if isinstance(said, str) else said
            called = called or part["type"] == "tool-call"
            finished = finished or part["type"] == "finish"
            yield part
        if not finished:
            yield {"type": "finish", "reason": "tool_call" if called else "stop"}


def _newest_text(request: ModelRequest) -> str:
    content = next(m for m in reversed(request.messages) if isinstance(m, UserTurn)).content
    return content if isinstance(content, str) else " ".join(getattr(part, "text", "") for part in content)


def _rounds(request: ModelRequest) -> int:
    """How often tools were answered since the newest message."""
    rounds = 0
    after_call = False
    for message in request.messages:
        if isinstance(message, UserTurn):
            rounds, after_call = 0, False
        elif isinstance(message, AssistantTurn):
            after_call = True
        elif isinstance(message, ToolReturn) and after_call:
            rounds, after_call = rounds + 1, False
    return rounds


def _suggestion(request: ModelRequest) -> list[dict[str, Any]]:
    """Suggests what it was asked last, and says how it was made to."""
    choice = request.tool_choice if isinstance(request.tool_choice, str) else request.tool_choice[1]
    messages = [m.content for m in request.messages if isinstance(m, UserTurn)]
    earlier = messages[-2] if len(messages) > 1 else "nothing"
    suggestions = [
        {"title": "Once more", "message": f"text after {earlier}"},
        {"title": "Forced", "message": f"text {choice}"},
    ]
    return _call("call_suggest", "copilotkitSuggest", suggestions=suggestions)
