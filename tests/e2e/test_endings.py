"""However a run ends, whatever it left open, every client accepts the end of its stream."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.script import (
    Report,
    Step,
    call,
    emit,
    fail,
    gate,
    open_call,
    open_reasoning,
    open_text,
    problems,
    result,
    shown,
    silence,
    text,
    types,
)
from e2e.server import Server
from e2e.stock_clients import StockClient, Tab, Tabs

KNOWS_SUBAGENTS = ("client59", "client1", "core75")

OPEN_SPANS: list[Step] = [
    emit("STEP_STARTED", stepName="outer"),
    emit("STEP_STARTED", stepName="inner"),
    *open_reasoning("think", "hmm"),
    *open_text("said", "half a"),
    *open_call("asked", "lookup", '{"q":'),
]

SUBAGENT = emit("SUBAGENT_STARTED", subagentRunId="helper", name="helper")

SPAN_ENDS = ["REASONING_MESSAGE_END", "REASONING_END", "TEXT_MESSAGE_END", "TOOL_CALL_END"]
STEP_ENDS = ["STEP_FINISHED", "STEP_FINISHED"]


def open_spans(stock: StockClient) -> list[Step]:
    """Every kind of span that the client knows, none of them ended."""
    return [*OPEN_SPANS, SUBAGENT] if stock.release in KNOWS_SUBAGENTS else OPEN_SPANS


def expected_end(stock: StockClient, *, terminal: str, answered: bool) -> list[str]:
    """The closers and the terminal that follow the open spans."""
    answer = ["TOOL_CALL_RESULT"] if answered else []
    subagent = "SUBAGENT_ERROR" if terminal == "RUN_ERROR" else "SUBAGENT_FINISHED"
    subagents = [subagent] if stock.release in KNOWS_SUBAGENTS else []
    return [*SPAN_ENDS, *answer, *STEP_ENDS, *subagents, terminal]


def opened(tabs: Tabs, stock: StockClient, server: Server, thread_id: str, agent_id: str = "default") -> Tab:
    """A page with one message typed."""
    tab = tabs.open(stock, server.url, thread_id=thread_id, agent_id=agent_id)
    tab.say("go", "u1")
    return tab


def assert_ended(report: Report, stock: StockClient, *, terminal: str, answered: bool) -> None:
    """The stream ended as it must, and nothing but its RUN_ERROR, if it has one, was reported."""
    expected = expected_end(stock, terminal=terminal, answered=answered)
    assert types(report)[-len(expected) :] == expected
    steps = [event["stepName"] for event in report["events"] if event["type"] == "STEP_FINISHED"]
    assert steps == ["inner", "outer"]
    assert report["isRunning"] is False
    last = report["events"][-1]
    if terminal == "RUN_FINISHED":
        assert problems(report) == []
        assert (last["threadId"], bool(last["runId"])) == (report["threadId"], True)
        return
    assert (bool(last["message"]), bool(last["code"])) == (True, True)
    assert [failure["where"] for failure in report["failures"]] == ["onRunErrorEvent"]
    assert report.get("rejected") is None
    assert {error["code"] for error in report.get("coreErrors", [])} <= {"agent_run_error_event"}


ILLEGAL: dict[str, list[Step]] = {
    "opens a message twice": open_text("said"),
    "opens a call twice": open_call("asked", "lookup"),
    "starts a step twice": [emit("STEP_STARTED", stepName="inner")],
    "continues an unknown message": [emit("TEXT_MESSAGE_CONTENT", messageId="unknown", delta="x")],
    "ends an unknown message": [emit("TEXT_MESSAGE_END", messageId="unknown")],
    "continues an unknown call": [emit("TOOL_CALL_ARGS", toolCallId="unknown", delta="x")],
    "ends an unknown call": [emit("TOOL_CALL_END", toolCallId="unknown")],
    "finishes an unknown step": [emit("STEP_FINISHED", stepName="unknown")],
}

FAILING: dict[str, tuple[list[Step], str]] = {
    "reports an error": ([emit("RUN_ERROR", message="no", code="nope")], "nope"),
    "raises": ([fail("broken")], "agent_error"),
    "sends no event": ([{"emit": 7}], "INVALID_EVENT"),
    "sends nothing": ([{"emit": None}], "INVALID_EVENT"),
    "sends an event without its fields": ([emit("TEXT_MESSAGE_CONTENT")], "INVALID_EVENT"),
    **{name: (script, "ILLEGAL_EVENT") for name, script in ILLEGAL.items()},
}


@pytest.mark.parametrize("agent", FAILING)
def test_open_spans_are_closed_when_the_agent(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, agent: str
) -> None:
    script, code = FAILING[agent]
    report = opened(tabs, stock, server, thread_id).run([*open_spans(stock), *script])
    assert_ended(report, stock, terminal="RUN_ERROR", answered=True)
    assert report["events"][-1]["code"] == code


def test_an_error_that_the_agent_reports_without_a_code_has_one_when_it_is_sent(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    script = [*open_spans(stock), emit("RUN_ERROR", message="no")]
    report = opened(tabs, stock, server, thread_id).run(script)
    assert_ended(report, stock, terminal="RUN_ERROR", answered=True)


FINISHING = {"returns": [], "finishes": [emit("RUN_FINISHED", threadId="x", runId="y")]}


@pytest.mark.parametrize("agent", FINISHING)
def test_open_spans_are_closed_and_calls_stay_open_when_the_agent(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, agent: str
) -> None:
    report = opened(tabs, stock, server, thread_id).run([*open_spans(stock), *FINISHING[agent]])
    assert_ended(report, stock, terminal="RUN_FINISHED", answered=False)


def test_open_spans_are_closed_when_a_terminal_is_required_and_missing(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    report = opened(tabs, stock, server, thread_id, "needs-terminal").run(open_spans(stock))
    assert_ended(report, stock, terminal="RUN_ERROR", answered=True)
    assert report["events"][-1]["code"] == "INCOMPLETE_STREAM"
    assert report["events"][-1]["message"] == "Run ended without emitting a terminal event"


def test_open_spans_are_closed_when_the_run_is_stopped(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = opened(tabs, stock, server, thread_id)
    running = tab.begin_run([*open_spans(stock), gate(thread_id)])
    server.wait_at_gate(thread_id)
    tab.wait(type="TOOL_CALL_ARGS")
    answer = server.http.post(f"{server.url}/agent/default/stop/{thread_id}").raise_for_status().json()
    assert answer["stopped"] is True
    report = running.result(15)
    assert_ended(report, stock, terminal="RUN_FINISHED", answered=True)
    assert shown(report["messages"])[-1]["content"].startswith('{"status":"stopped"')


def test_open_spans_are_closed_when_the_last_reader_left(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    leaving = opened(tabs, stock, server, thread_id, "leaves-with-reader")
    leaving.begin_run([*open_spans(stock), silence()])
    leaving.wait(type="TOOL_CALL_ARGS")
    tabs.close(leaving)
    server.wait_until_idle(thread_id)
    watching = tabs.open(stock, server.url, thread_id=thread_id)
    report = watching.connect()
    assert problems(report) == []
    assert types(report)[-1] == "RUN_FINISHED"
    results = [message for message in report["messages"] if message["role"] == "tool"]
    assert [message["content"][:40] for message in results] == ['{"status":"stopped","reason":"client_dis']


def test_open_spans_are_closed_when_a_newer_run_takes_the_thread(
    stock: StockClient, shared_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = shared_server(runner={"on_concurrent_run": "supersede"})
    older, newer = opened(tabs, stock, server, thread_id), opened(tabs, stock, server, thread_id)
    running = older.begin_run([*open_spans(stock), silence()])
    older.wait(type="TOOL_CALL_ARGS")
    newer.say("rather this", "u2")
    answered = newer.run(text("a2", "certainly"))
    assert_ended(running.result(15), stock, terminal="RUN_FINISHED", answered=True)
    assert problems(answered) == []
    assert [end for end in types(answered) if end.startswith("RUN_")] == ["RUN_STARTED", "RUN_FINISHED"]
    assert "said" not in [event.get("messageId") for event in answered["events"]]


LIMITS = {"EVENT_TOO_LARGE": {"max_event_bytes": 50_000}, "RUN_TOO_LARGE": {"max_run_events": 20}}


@pytest.mark.parametrize("code", LIMITS)
def test_open_spans_are_closed_when_the_run_passes_a_limit(
    stock: StockClient, shared_server: Callable[..., Server], tabs: Tabs, thread_id: str, code: str
) -> None:
    server = shared_server(runner={"limits": LIMITS[code]})
    too_much = [
        *[emit("TEXT_MESSAGE_CONTENT", messageId="said", delta=".") for _ in range(30)],
        emit("TEXT_MESSAGE_CONTENT", messageId="said", delta="." * 60_000),
    ]
    report = opened(tabs, stock, server, thread_id).run([*open_spans(stock), *too_much])
    assert_ended(report, stock, terminal="RUN_ERROR", answered=True)
    assert report["events"][-1]["code"] == code


def test_open_spans_are_closed_when_the_process_shuts_down(
    every_stock: list[StockClient], own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server(runtime={"shutdown_grace_seconds": 0.2})
    running = []
    for stock in every_stock:
        tab = opened(tabs, stock, server, f"{thread_id}-{stock.release}")
        running.append(tab.begin_run([*open_spans(stock), silence()]))
        tab.wait(type="TOOL_CALL_ARGS")
    server.http.post("/control/drain").raise_for_status()
    for stock, run in zip(every_stock, running, strict=True):
        report = run.result(15)
        assert_ended(report, stock, terminal="RUN_ERROR", answered=True)
        assert report["events"][-1]["code"] == "SERVER_SHUTDOWN"


def test_open_spans_are_closed_for_readers_elsewhere_when_the_process_is_killed(
    every_stock: list[StockClient],
    own_server: Callable[..., Server],
    tabs: Tabs,
    thread_id: str,
    tmp_path: Any,
) -> None:
    shared = str(tmp_path / "shared.db")
    runner = {"lease_ttl": 3.0, "heartbeat": 1.0}
    owner, other = own_server(db_path=shared, runner=runner), own_server(db_path=shared, runner=runner)
    connecting = []
    for stock in every_stock:
        tab = opened(tabs, stock, owner, f"{thread_id}-{stock.release}")
        tab.begin_run([*open_spans(stock), silence()])
        tab.wait(type="TOOL_CALL_ARGS")
        watching = tabs.open(stock, other.url, thread_id=f"{thread_id}-{stock.release}")
        connecting.append(watching.begin("connect"))
        watching.wait(type="TOOL_CALL_ARGS")
    owner.kill()
    for stock, connect in zip(every_stock, connecting, strict=True):
        report = connect.result(15)
        assert_ended(report, stock, terminal="RUN_ERROR", answered=True)
        assert report["events"][-1]["code"] == "RUN_LOST"


def test_a_call_that_has_its_result_gets_no_second_one(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    script = [
        *call("done", "lookup", "{}"),
        result("done", "found"),
        *open_call("left", "lookup", "{"),
        fail("x"),
    ]
    report = opened(tabs, stock, server, thread_id).run(script)
    results = [message for message in shown(report["messages"]) if message["role"] == "tool"]
    assert [(message["toolCallId"], message["content"][:17]) for message in results] == [
        ("done", "found"),
        ("left", '{"status":"error"'),
    ]


TERMINALS: dict[str, dict[str, Any]] = {
    "a cancelled outcome": {"outcome": {"type": "cancelled"}},
    "no interrupts": {"outcome": {"type": "interrupt", "interrupts": []}},
    "pending tool calls": {"outcome": {"type": "success", "pendingToolCallIds": ["c1"]}},
    "pending tool calls of an interrupt": {"outcome": {"type": "interrupt", "pendingToolCallIds": ["c1"]}},
    "a null outcome": {"outcome": None},
    "a success": {"outcome": {"type": "success"}},
    "a result and a key nobody knows": {"result": {"answer": 42}, "surprise": [1, 2]},
}


@pytest.mark.parametrize("oddity", TERMINALS)
def test_the_terminal_of_an_agent_is_read_although_it_has(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, oddity: str
) -> None:
    finished = {"emit": {"type": "RUN_FINISHED", **TERMINALS[oddity]}}
    report = opened(tabs, stock, server, thread_id).run([*text("a1", "done"), finished])
    assert problems(report) == []
    assert types(report)[-1] == "RUN_FINISHED"
    assert report["pendingInterrupts"] == []
    assert report["isRunning"] is False


def test_what_an_agent_sends_after_its_terminal_is_dropped(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    script = [*text("a1", "done"), emit("RUN_FINISHED", threadId="x", runId="y"), *text("a2", "too late")]
    report = opened(tabs, stock, server, thread_id).run(script)
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1"]
    assert types(report)[-1] == "RUN_FINISHED"


def test_an_agent_that_starts_runs_of_its_own_shows_as_one_run(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    foreign = {"id": "m0", "role": "user", "content": "from elsewhere"}
    started = emit(
        "RUN_STARTED",
        threadId="other",
        runId="other",
        input={
            "threadId": "other",
            "runId": "other",
            "messages": [foreign],
            "tools": [],
            "context": [],
            "state": {},
            "forwardedProps": {},
        },
    )
    report = opened(tabs, stock, server, thread_id).run([started, started, *text("a1", "hello"), started])
    assert problems(report) == []
    assert types(report).count("RUN_STARTED") == 1
    assert {message["id"] for message in report["messages"]} == {"u1", "m0", "a1"}


def test_event_types_that_nobody_knows_are_left_out(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    script = [emit("NOPE", anything=1), *text("a1", "still here"), emit("NOPE")]
    report = opened(tabs, stock, server, thread_id).run(script)
    assert problems(report) == []
    assert "NOPE" not in types(report)
    assert report["messages"][-1]["content"] == "still here"


@pytest.mark.parametrize("form", ["emit", "struct"])
def test_events_are_accepted_as_dicts_and_as_classes(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, form: str
) -> None:
    script = [{form: step["emit"]} for step in [*text("a1", "one"), *call("c1", "lookup", "{}")]]
    report = opened(tabs, stock, server, thread_id).run([*script, result("c1", "found")])
    assert problems(report) == []
    assert [message["role"] for message in report["messages"]] == ["user", "assistant", "assistant", "tool"]


def test_chunks_become_whole_spans(stock: StockClient, server: Server, tabs: Tabs, thread_id: str) -> None:
    script = [
        emit("REASONING_MESSAGE_CHUNK", messageId="r1", delta="think"),
        emit("TEXT_MESSAGE_CHUNK", messageId="a1", role="assistant", delta="one "),
        emit("TEXT_MESSAGE_CHUNK", delta="two"),
        emit("TOOL_CALL_CHUNK", toolCallId="c1", toolCallName="lookup", delta='{"a":'),
        emit("TOOL_CALL_CHUNK", delta="1}"),
        emit("TEXT_MESSAGE_CHUNK", messageId="a2", delta="three"),
    ]
    report = opened(tabs, stock, server, thread_id).run(script)
    assert problems(report) == []
    assert not [seen for seen in types(report) if seen.endswith("_CHUNK")]
    assert types(report)[-3:] == ["TEXT_MESSAGE_CONTENT", "TEXT_MESSAGE_END", "RUN_FINISHED"]
    texts = [message.get("content") for message in report["messages"] if message["role"] == "assistant"]
    assert [said for said in texts if said] == ["one two", "three"]
    calls = [tool for message in report["messages"] for tool in message.get("toolCalls") or []]
    assert [tool["function"] for tool in calls] == [{"name": "lookup", "arguments": '{"a":1}'}]


def test_reasoning_out_of_order_is_put_right(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    script = [
        emit("REASONING_MESSAGE_CONTENT", messageId="r1", delta="no start"),
        emit("REASONING_MESSAGE_START", messageId="r1", role="reasoning"),
        emit("REASONING_MESSAGE_END", messageId="r2"),
        emit("REASONING_END", messageId="r3"),
        *text("a1", "done"),
    ]
    report = opened(tabs, stock, server, thread_id).run(script)
    assert problems(report) == []
    assert shown(report["messages"])[1:] == [
        {"id": "r1", "role": "reasoning", "content": "no start"},
        {"id": "a1", "role": "assistant", "content": "done"},
    ]
