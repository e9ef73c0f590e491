"""The ledger lets through what clients can read, and closes everything in one fixed order."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from event_streams import STREAMS, TERMINALS, refusal
from jumpseat.errors import IllegalEvent, RunTooLarge
from jumpseat.protocol import endings
from jumpseat.protocol.codec import encode
from jumpseat.protocol.events import (
    ActivitySnapshot,
    Custom,
    Event,
    MessagesSnapshot,
    ReasoningEnd,
    ReasoningMessageContent,
    ReasoningMessageEnd,
    ReasoningMessageStart,
    ReasoningStart,
    RunError,
    RunFinished,
    RunStarted,
    StateSnapshot,
    StepFinished,
    StepStarted,
    SubagentError,
    SubagentFinished,
    SubagentStarted,
    TextMessageContent,
    TextMessageEnd,
    TextMessageStart,
    ToolCallArgs,
    ToolCallEnd,
    ToolCallResult,
    ToolCallStart,
)
from jumpseat.protocol.inputs import ToolMessage
from jumpseat.protocol.ledger import Ledger

ENDINGS = [
    endings.returned(),
    endings.agent_terminal(RunFinished()),
    endings.agent_terminal(RunError(message="no")),
    endings.cut(),
    endings.raised("boom"),
    endings.broke(IllegalEvent("rule")),
    endings.broke(RunTooLarge("limit")),
    endings.stopped(),
    endings.disconnected(),
    endings.superseded(),
    endings.time_limit(),
    endings.shutdown(),
    endings.lost(),
]


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def ledger(warnings: list[str]) -> Ledger:
    return Ledger("thread", "run", warn=warnings.append)


def feed(ledger: Ledger, *events: Event) -> list[Event]:
    return [accepted for event in events for accepted in ledger.accept(event)]


def types(events: list[Event]) -> list[str]:
    return [json.loads(encode(event))["type"] for event in events]


@given(STREAMS, st.sampled_from(ENDINGS))
def test_whatever_an_agent_sends_the_closed_stream_is_one_that_strict_clients_read(stream, ending):
    ledger = Ledger("thread", "run", warn=lambda _: None)
    sent: list[Event] = []
    for event in stream:
        try:
            sent += ledger.accept(event)
        except IllegalEvent:
            break
    assert refusal([*sent, *ledger.close(ending)]) is None


@given(STREAMS, st.sampled_from(ENDINGS))
def test_a_replayed_log_closes_exactly_as_the_ledger_that_wrote_it(stream, ending):
    writer = Ledger("thread", "run", warn=lambda _: None)
    stored: list[Event] = [RunStarted(thread_id="thread", run_id="run")]
    for event in stream:
        try:
            stored += writer.accept(event)
        except IllegalEvent:
            break
    reader = Ledger("thread", "run", warn=pytest.fail)
    for event in stored:
        reader.replay(event)
    assert reader.close(ending) == writer.close(ending)


@given(STREAMS)
def test_what_strict_clients_refuse_beyond_repair_is_illegal_and_nothing_else(stream):
    ledger = Ledger("thread", "run", warn=lambda _: None)
    sent: list[Event] = []
    for event in stream:
        try:
            sent += ledger.accept(event)
        except IllegalEvent:
            # A terminal of either kind would be refused too, so only the event can be at fault.
            assert refusal([*sent, event]) not in (None, "no terminal")
            return


@given(STREAMS, TERMINALS, STREAMS)
def test_nothing_passes_after_the_agents_terminal(before, terminal, after):
    warned: list[str] = []
    ledger = Ledger("thread", "run", warn=warned.append)
    for event in before:
        try:
            ledger.accept(event)
        except IllegalEvent:
            return
    assert ledger.accept(terminal) == ()
    assert ledger.terminal is terminal
    warned.clear()
    assert feed(ledger, *after) == []
    assert len(warned) == min(len(after), 1)


def test_closers_come_in_one_order_whatever_the_order_of_the_starts(ledger):
    feed(
        ledger,
        SubagentStarted(subagent_run_id="s1", name="one"),
        SubagentStarted(subagent_run_id="s2", name="two"),
        StepStarted(step_name="outer"),
        StepStarted(step_name="inner", subagent_run_id="s1"),
        ToolCallStart(tool_call_id="c1", tool_call_name="f"),
        ToolCallStart(tool_call_id="c2", tool_call_name="f"),
        ToolCallEnd(tool_call_id="c1"),
        TextMessageStart(message_id="m2"),
        TextMessageStart(message_id="m1"),
        ReasoningStart(message_id="r"),
        ReasoningMessageStart(message_id="r"),
    )
    settled = ActivitySnapshot(message_id="x", activity_type="a", content={})
    note = endings.stopped().result.content()
    assert ledger.close(endings.stopped(), [settled]) == [
        ReasoningMessageEnd(message_id="r"),
        ReasoningEnd(message_id="r"),
        TextMessageEnd(message_id="m2"),
        TextMessageEnd(message_id="m1"),
        ToolCallResult(message_id="c1-result", tool_call_id="c1", content=note, role="tool"),
        ToolCallEnd(tool_call_id="c2"),
        ToolCallResult(message_id="c2-result", tool_call_id="c2", content=note, role="tool"),
        StepFinished(step_name="inner", subagent_run_id="s1"),
        StepFinished(step_name="outer"),
        SubagentFinished(subagent_run_id="s2"),
        SubagentFinished(subagent_run_id="s1"),
        settled,
        RunFinished(thread_id="thread", run_id="run"),
    ]


@pytest.mark.parametrize("ending", ENDINGS, ids=lambda ending: ending.terminal.__class__.__name__)
def test_a_finished_run_leaves_calls_open_and_every_other_cause_answers_them(ledger, ending):
    feed(ledger, ToolCallStart(tool_call_id="c", tool_call_name="f"), ToolCallEnd(tool_call_id="c"))
    closers = ledger.close(ending)
    if ending.status == "finished":
        assert types(closers) == ["RUN_FINISHED"]
        return
    result = closers[0]
    assert isinstance(result, ToolCallResult)
    assert json.loads(result.content) == {
        "status": ending.result.status,
        "reason": ending.result.reason,
        "message": ending.result.message,
    }


@pytest.mark.parametrize(
    "answer",
    [
        ToolCallResult(message_id="t", tool_call_id="c", content="42"),
        MessagesSnapshot(messages=[ToolMessage(id="t", tool_call_id="c", content="42")]),
    ],
    ids=["result event", "snapshot"],
)
def test_no_result_is_invented_for_a_call_that_has_one(ledger, answer):
    feed(ledger, ToolCallStart(tool_call_id="c", tool_call_name="f"), answer)
    assert types(ledger.close(endings.stopped())) == ["TOOL_CALL_END", "RUN_FINISHED"]


def test_open_subagents_fail_with_the_run(ledger):
    feed(ledger, SubagentStarted(subagent_run_id="s", name="n"))
    closers = ledger.close(endings.raised("boom"))
    assert closers == [
        SubagentError(subagent_run_id="s", message="boom"),
        RunError(message="boom", code="agent_error"),
    ]


@pytest.mark.parametrize(
    ("stream", "rule"),
    [
        ([TextMessageStart(message_id="m"), TextMessageStart(message_id="m")], "TEXT_MESSAGE_START"),
        ([TextMessageContent(message_id="m", delta="x")], "TEXT_MESSAGE_CONTENT"),
        ([TextMessageEnd(message_id="m")], "TEXT_MESSAGE_END"),
        (
            [
                ToolCallStart(tool_call_id="c", tool_call_name="f"),
                ToolCallStart(tool_call_id="c", tool_call_name="f"),
            ],
            "TOOL_CALL_START",
        ),
        ([ToolCallArgs(tool_call_id="c", delta="x")], "TOOL_CALL_ARGS"),
        ([ToolCallEnd(tool_call_id="c")], "TOOL_CALL_END"),
        ([StepStarted(step_name="s"), StepStarted(step_name="s")], "STEP_STARTED"),
        ([StepFinished(step_name="s")], "STEP_FINISHED"),
        ([StepStarted(step_name="s"), StepFinished(step_name="s", subagent_run_id="a")], "STEP_FINISHED"),
        ([SubagentFinished(subagent_run_id="s")], "SUBAGENT_FINISHED"),
        ([SubagentError(subagent_run_id="s", message="m")], "SUBAGENT_ERROR"),
        (
            [SubagentStarted(subagent_run_id="s", name="n"), SubagentStarted(subagent_run_id="s", name="n")],
            "SUBAGENT_STARTED",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_an_event_no_client_could_read_ends_the_run_with_the_rule_it_broke(ledger, stream, rule):
    feed(ledger, *stream[:-1])
    with pytest.raises(IllegalEvent, match=rule):
        ledger.accept(stream[-1])


def test_steps_of_the_same_name_may_be_active_in_different_subagents(ledger):
    stream = [StepStarted(step_name="s"), StepStarted(step_name="s", subagent_run_id="a")]
    assert feed(ledger, *stream) == stream


def test_reasoning_without_its_start_gets_one_and_warns_once(ledger, warnings):
    content = ReasoningMessageContent(message_id="r", delta="x", subagent_run_id="s")
    other = ReasoningMessageContent(message_id="q", delta="x")
    assert feed(ledger, content, content, other) == [
        ReasoningMessageStart(message_id="r", subagent_run_id="s"),
        content,
        content,
        ReasoningMessageStart(message_id="q"),
        other,
    ]
    assert len(warnings) == 1


@pytest.mark.parametrize(
    "stray",
    [
        [ReasoningMessageEnd(message_id="r")],
        [ReasoningEnd(message_id="r")],
        [ReasoningStart(message_id="r"), ReasoningStart(message_id="r")],
        [ReasoningMessageStart(message_id="r"), ReasoningMessageStart(message_id="r")],
    ],
    ids=["end", "span end", "span start", "start"],
)
def test_a_stray_reasoning_boundary_is_dropped_with_one_warning(ledger, warnings, stray):
    feed(ledger, *stray[:-1])
    assert ledger.accept(stray[-1]) == ()
    assert ledger.accept(stray[-1]) == ()
    assert len(warnings) == 1


def test_an_agents_run_started_is_absorbed(ledger):
    assert ledger.accept(RunStarted(thread_id="other", run_id="other")) == ()


def test_events_that_open_nothing_pass_at_any_time(ledger):
    stream = [
        Custom(name="n", value=1),
        StateSnapshot(snapshot=None),
        ToolCallResult(message_id="t", tool_call_id="unknown", content="x"),
    ]
    assert feed(ledger, *stream) == stream


def test_the_terminal_has_the_runs_ids_whatever_the_agent_wrote(ledger):
    agents = RunFinished(thread_id="wrong", run_id="wrong", result={"a": 1}, extra={"k": 1})
    feed(ledger, agents)
    (terminal,) = ledger.close(endings.agent_terminal(ledger.terminal))
    assert terminal == RunFinished(thread_id="thread", run_id="run", result={"a": 1}, extra={"k": 1})
    assert agents.thread_id == "wrong"


def test_an_illegal_event_leaves_the_ledger_able_to_close(ledger):
    feed(ledger, TextMessageStart(message_id="m"))
    with pytest.raises(IllegalEvent):
        ledger.accept(TextMessageStart(message_id="m"))
    assert types(ledger.close(endings.broke(IllegalEvent("x")))) == ["TEXT_MESSAGE_END", "RUN_ERROR"]


@pytest.mark.parametrize("owner", [None, "s1"])
@pytest.mark.parametrize(
    "rest",
    [
        [TextMessageStart, TextMessageContent, TextMessageEnd],
        [ReasoningMessageStart, ReasoningMessageContent, ReasoningMessageEnd],
        [ReasoningStart, ReasoningEnd],
        [ToolCallStart, ToolCallArgs, ToolCallEnd],
    ],
)
def test_what_follows_a_start_is_attributed_as_the_start_is(rest, owner, ledger, warnings):
    def made(kind, tag):
        fields = {"tool_call_id": "i"} if "ToolCall" in kind.__name__ else {"message_id": "i"}
        fields |= {"tool_call_name": "go"} if kind is ToolCallStart else {}
        fields |= (
            {"delta": "x"} if kind in (TextMessageContent, ReasoningMessageContent, ToolCallArgs) else {}
        )
        return kind(subagent_run_id=tag, **fields)

    start, *others = rest
    assert feed(ledger, made(start, owner)) == [made(start, owner)]
    for kind in others:
        assert feed(ledger, made(kind, "s2")) == [made(kind, owner)]
    assert len(warnings) == len(others)
    # The id belongs to whoever used it first, for the rest of the run.
    assert feed(ledger, made(start, "s2")) == [made(start, owner)]


def test_an_event_without_an_owner_stays_without_one(ledger, warnings):
    start = TextMessageStart(message_id="m", subagent_run_id="s1")
    content = TextMessageContent(message_id="m", delta="x")
    assert feed(ledger, start, content) == [start, content]
    assert warnings == []


def test_a_call_belongs_to_whom_its_message_belongs(ledger):
    start = TextMessageStart(message_id="m", subagent_run_id="s1")
    call = ToolCallStart(tool_call_id="c", tool_call_name="go", parent_message_id="m", subagent_run_id="s2")
    args = ToolCallArgs(tool_call_id="c", delta="{}", subagent_run_id="s2")
    assert [event.subagent_run_id for event in feed(ledger, start, call, args)] == ["s1", "s1", "s1"]
