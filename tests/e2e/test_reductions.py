"""A stored run amounts to the messages and the state that the stock clients make of it, raw and compacted."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from e2e.hard_runs import hard_runs
from e2e.legal_runs import Event, legal_runs
from e2e.script import rich_turn
from e2e.stock_clients import CLIENT_RELEASES, StockClient
from event_streams import REASONING, TEXT, TOOL_CALLS
from jumpseat.errors import IllegalEvent
from jumpseat.protocol.codec import accept, decode, decode_message, encode, encode_message
from jumpseat.protocol.compact import compact
from jumpseat.protocol.endings import returned
from jumpseat.protocol.events import Event as AgentEvent
from jumpseat.protocol.ledger import Ledger
from jumpseat.protocol.reduce import Reducer

START = [
    {"id": "u1", "role": "user", "content": "hello"},
    {"id": "p0", "role": "activity", "activityType": "PLAN", "content": {"old": True}},
    {"id": "a0", "role": "assistant", "content": "earlier"},
]
STATE = {"a": [1], "b": {"a": 2}}

OFTEN = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)


def reduced_here(events: list[Event]) -> dict[str, Any]:
    """What the package makes of a run."""
    warnings: list[str] = []
    start = [decode_message(json.dumps(message).encode()) for message in START]
    reducer = Reducer(start, STATE, warn=warnings.append)
    for event in events:
        reducer.apply(accept(event))
    return {
        "messages": [json.loads(encode_message(message)) for message in reducer.messages],
        "state": reducer.state,
    }


def reduced_there(client: StockClient, events: list[Event]) -> dict[str, Any]:
    """What a stock client makes of a run."""
    report = client.call("reduce", events=events, messages=START, state=STATE)
    assert (report["rejected"], report["failures"]) == (None, [])
    return {"messages": report["messages"], "state": report["state"]}


def compacted(events: list[Event]) -> list[Event]:
    """The run as the store keeps it."""
    return [json.loads(data) for data in compact([encode(accept(event)) for event in events])]


def assert_agreement(client: StockClient, events: list[Event]) -> None:
    """The package and the client make the same of a run, raw and compacted."""
    short = compacted(events)
    assert compacted(short) == short
    expected = reduced_there(client, events)
    assert reduced_here(events) == expected
    assert reduced_here(short) == expected
    assert reduced_there(client, short) == expected


@pytest.mark.parametrize("release", CLIENT_RELEASES)
@given(data=st.data())
@OFTEN
def test_a_run_amounts_to_what_the_client_shows_raw_and_compacted(
    stock_clients: Callable[[str], StockClient], release: str, data: st.DataObject
) -> None:
    assert_agreement(stock_clients(release), data.draw(legal_runs(newest=release == "client1")))


@pytest.mark.parametrize(
    ("release", "run"), [(release, run) for release in CLIENT_RELEASES for run in hard_runs(release)]
)
def test_a_run_amounts_to_what_the_client_shows_when(
    stock_clients: Callable[[str], StockClient], release: str, run: str
) -> None:
    assert_agreement(stock_clients(release), hard_runs(release)[run])


def test_compaction_joins_the_deltas_of_a_turn_and_moves_nothing(client: StockClient) -> None:
    script = [step["emit"] for step in rich_turn()]
    start, end = (
        {"type": "RUN_STARTED", "threadId": "t", "runId": "r"},
        {"type": "RUN_FINISHED", "threadId": "t", "runId": "r"},
    )
    events = [start, *script, end]
    short = compacted(events)
    assert len(short) == len(events) - 5
    assert [event["type"] for event in short] == [
        kind for kind, before in zip(_kinds(events), ["", *_kinds(events)], strict=False) if kind != before
    ]
    assert reduced_there(client, short) == reduced_there(client, events) == reduced_here(events)
    assert [decode(encode(accept(event))) for event in short]


def _kinds(events: list[Event]) -> list[str]:
    return [event["type"] for event in events]


@pytest.mark.parametrize("release", ["client59", "client1"])
@given(stream=st.lists(TEXT | TOOL_CALLS | REASONING, max_size=30))
@OFTEN
def test_an_agent_that_mixes_up_its_subagents_is_still_read(
    stock_clients: Callable[[str], StockClient], release: str, stream: list[AgentEvent]
) -> None:
    ledger = Ledger("t", "r", warn=lambda _: None)
    sent: list[Any] = []
    for event in stream:
        with suppress(IllegalEvent):
            sent += ledger.accept(event)
    sent += ledger.close(returned())
    events = [{"type": "RUN_STARTED", "threadId": "t", "runId": "r"}, *(json.loads(encode(e)) for e in sent)]
    report = stock_clients(release).call("reduce", events=events, messages=[], state={})
    assert report["rejected"] is None
