"""Whatever a model says, in whatever order and under whatever ids, every release of the client reads it."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from builtin_agents import given as run_input
from builtin_agents import run
from e2e.script import shown
from e2e.stock_clients import CLIENT_RELEASES, StockClient
from jumpseat import BuiltInAgent, define_tool
from jumpseat.protocol.codec import accept, decode_message, encode_message
from jumpseat.protocol.reduce import Reducer
from jumpseat.testing import ScriptedModel

Part = dict[str, Any]

START = [
    {"id": "u1", "role": "user", "content": "hello"},
    {"id": "a0", "role": "assistant", "content": "earlier"},
    {"id": "u2", "role": "user", "content": "go on"},
]
STATE = {"items": ["milk"], "count": 1}
PAGE_TOOL = {"name": "page", "description": "Runs in the page", "parameters": {"type": "object"}}
MOST_STEPS = 3


@define_tool(parameters={"type": "object"})
async def lookup(given: dict[str, Any]) -> str:
    """Look something up."""
    return f"found {sorted(given)}"


@define_tool(parameters={"type": "object"})
async def count(given: dict[str, Any]) -> AsyncIterator[int]:
    """Count."""
    for number in range(3):
        yield number


ask = define_tool(name="ask", description="Ask", parameters={"type": "object"}, interrupt=True)

_NAMES = st.sampled_from(
    ["lookup", "count", "page", "ask", "nobody", "AGUISendStateSnapshot", "AGUISendStateDelta"]
)
# A counter, an id of the history, one that text, reasoning and calls share, none, and one that may stay.
_IDS = st.sampled_from(["shared-by-all", "", "0", "msg-1", "a0", "msg_abc123"])
_MAYBE_ID = st.sampled_from(["shared-by-all", None, "", "0", "msg-1", "a0", "msg_abc123"])
_WORDS = st.sampled_from(["", "a", " word", "\n", "é😀", '{"a":', "1}"])
_CHANGES = st.lists(
    st.fixed_dictionaries(
        {
            "op": st.sampled_from(["add", "replace", "remove", "move"]),
            "path": st.sampled_from(["/items/-", "/items/0", "/count", "/new/-", "/a/b"]),
            "value": st.sampled_from([1, None, "x", {"k": [1]}]),
        }
    ),
    max_size=3,
)
# No state is null here: releases differ in what they make of that.
_INPUTS = st.one_of(
    st.sampled_from([None, "", "{broken", "[1]", {}, {"q": "x"}, {"snapshot": {"new": []}}]),
    _CHANGES.map(lambda delta: {"delta": delta}),
)
_TOKENS = st.sampled_from([None, 0, 3, -1, 1.5, 2**60, "7", True])


def _part(kind: str, **fields: Any) -> st.SearchStrategy[Part]:
    def without_none(part: Part) -> Part:
        return {key: value for key, value in part.items() if value is not None}

    return st.fixed_dictionaries({"type": st.just(kind), **fields}).map(without_none)


def _text(block_id: str | None, deltas: list[str]) -> list[Part]:
    return [
        {"type": "text-start", "id": block_id},
        *({"type": "text-delta", "id": block_id, "delta": delta} for delta in deltas),
        {"type": "text-end", "id": block_id},
    ]


def _thought(block_id: str | None, deltas: list[str], signature: str | None) -> list[Part]:
    return [
        {"type": "reasoning-start", "id": block_id},
        *({"type": "reasoning-delta", "delta": delta} for delta in deltas),
        {"type": "reasoning-end", "signature": signature},
    ]


_DELTAS = st.lists(_WORDS, min_size=1, max_size=3)
_SIGNATURE = st.sampled_from([None, "signed"])

# Whole blocks, as providers send them, and single parts, as they never should.
_PARTS = st.one_of(
    st.builds(_text, _MAYBE_ID, _DELTAS),
    st.builds(_thought, _MAYBE_ID, _DELTAS, _SIGNATURE),
    _part("tool-call", id=_IDS, name=_NAMES, input=_INPUTS, signature=_SIGNATURE).map(lambda part: [part]),
    st.one_of(
        _part("text-start", id=_MAYBE_ID),
        _part("text-delta", delta=_WORDS, id=_MAYBE_ID),
        _part("reasoning-start", id=_MAYBE_ID),
        _part("reasoning-delta", delta=_WORDS),
        _part("reasoning-end", signature=_SIGNATURE, id=_MAYBE_ID),
        _part("tool-input-start", id=_IDS, name=_NAMES),
        _part("tool-input-delta", id=_IDS, delta=_WORDS),
        _part("tool-input-end", id=_IDS),
    ).map(lambda part: [part]),
)
_END = st.one_of(
    _part(
        "finish",
        reason=st.sampled_from(["stop", "length", "tool_call", "content_filter", "error", "other"]),
        usage=st.fixed_dictionaries(
            {"inputTokens": _TOKENS, "outputTokens": _TOKENS, "totalTokens": _TOKENS}
        ),
    ),
    _part("error", error=st.just("no")),
    st.builds(RuntimeError, st.just("broken")),
)
_GENERATIONS = st.lists(
    st.tuples(
        st.lists(_PARTS, min_size=3, max_size=8).map(
            lambda blocks: [part for block in blocks for part in block]
        ),
        st.lists(_END, max_size=1),
    ),
    min_size=1,
    max_size=MOST_STEPS,
)

OFTEN = settings(
    max_examples=200,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Models that talk nonsense make many warnings."""
    with caplog.at_level(logging.CRITICAL, logger="jumpseat"):
        yield


def events_of(generations: list[tuple[list[Part], list[Any]]]) -> tuple[list[dict[str, Any]], list[Part]]:
    """The run in which a model says these parts, and those of them that it came to say."""
    script: list[list[Any]] = [[*parts, *end] for parts, end in generations]
    script += [[{"type": "text-delta", "delta": "the end"}]] * (MOST_STEPS - len(script))
    model = ScriptedModel(script)
    agent = BuiltInAgent(model=model, tools=[lookup, count, ask], max_steps=MOST_STEPS)
    events = asyncio.run(run(agent, run_input(*START, state=STATE, tools=[PAGE_TOOL])))
    said = [part for generation in script[: len(model.requests)] for part in generation]
    return events, [part for part in said if isinstance(part, dict)]


def reduced_here(events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Any]:
    """What the package makes of a run."""
    start = [decode_message(json.dumps(message).encode()) for message in START]
    warnings: list[str] = []
    reducer = Reducer(start, STATE, warn=warnings.append)
    for event in events:
        reducer.apply(accept(event))
    assert warnings == []
    return [json.loads(encode_message(message)) for message in reducer.messages], reducer.state


def reduced_there(client: StockClient, events: list[dict[str, Any]]) -> tuple[list[dict[str, Any]], Any]:
    """What a stock client makes of it; only a failed run may be reported, and only as what it is."""
    report = client.call("reduce", events=events, messages=START, state=STATE)
    assert report["rejected"] is None
    failed = events[-1]["type"] == "RUN_ERROR"
    assert [failure["where"] for failure in report["failures"]] == ["onRunErrorEvent"] * failed
    return report["messages"], report["state"]


@given(generations=_GENERATIONS)
@OFTEN
def test_every_client_and_the_server_make_the_same_of_a_model_s_answer(
    stock_clients: Callable[[str], StockClient], generations: list[tuple[list[Part], list[Any]]]
) -> None:
    events, said = events_of(generations)
    assert events[0]["type"] == "RUN_STARTED"
    assert events[-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
    messages, state = reduced_here(events)
    assert_nothing_is_lost(messages, said)
    for release in CLIENT_RELEASES:
        there, state_there = reduced_there(stock_clients(release), events)
        assert shown(there) == shown(messages)
        assert state_there == state


def assert_nothing_is_lost(messages: list[dict[str, Any]], said: list[Part]) -> None:
    """All text and all reasoning is shown as what it is, in order; no message and no call is there twice."""
    ids = [message["id"] for message in messages]
    assert len(set(ids)) == len(ids)
    assert [message for message in messages if message["id"] in {"u1", "a0", "u2"}] == START
    for role, kind in (("assistant", "text-delta"), ("reasoning", "reasoning-delta")):
        shown_text = "".join(
            m.get("content") or "" for m in messages if m["role"] == role and m["id"] != "a0"
        )
        assert shown_text == "".join(part["delta"] for part in said if part["type"] == kind)
    calls = [call["id"] for message in messages for call in message.get("toolCalls") or ()]
    assert len(set(calls)) == len(calls)
    answered = [message["toolCallId"] for message in messages if message["role"] == "tool"]
    assert len(set(answered)) == len(answered)
    assert set(answered) <= set(calls)
