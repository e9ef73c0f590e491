"""A page that comes back finds its thread as it left it, also in the middle of a run."""

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from back_ends import SHARED
from e2e.script import (
    Report,
    Step,
    activity,
    emit,
    fail,
    gate,
    interrupt,
    problems,
    reasoning,
    result,
    rich_turn,
    shown,
    text,
    types,
)
from e2e.server import Server
from e2e.stock_clients import StockClient, Tab, Tabs

KEEPS_ACTIVITIES_IN_PLACE = ("client57", "client59", "core69", "core75")
"""Before 1.0 a client keeps the activities it shows when a snapshot of messages has none, and their place."""

SHOWS_FALSY_STATE = ("client1",)
"""The pages of all others, those of CopilotKit among them, go on showing the state they have."""


@pytest.fixture(scope="module", params=SHARED)
def server(request: pytest.FixtureRequest, shared_server_on: Callable[[str], Server]) -> Server:
    """What a page finds again does not depend on where it is kept."""
    return shared_server_on(request.param)


def assert_same_page(stock: StockClient, report: Report, expected: Report) -> None:
    """Both pages show the same messages in the same order, and hold the same state."""
    assert shown(report["messages"]) == shown(expected["messages"])
    assert report["state"] == expected["state"]


def assert_same_content(stock: StockClient, report: Report, expected: Report) -> None:
    """As `assert_same_page`; an activity may stand elsewhere where the client decides that by itself."""
    if stock.release not in KEEPS_ACTIVITIES_IN_PLACE:
        assert_same_page(stock, report, expected)
        return
    pages = [shown(page["messages"]) for page in (report, expected)]
    conversations = [[message for message in page if message["role"] != "activity"] for page in pages]
    activities = [[message for message in page if message["role"] == "activity"] for page in pages]
    assert conversations[0] == conversations[1]
    assert activities[0] == activities[1]
    assert report["state"] == expected["state"]


def test_an_unknown_thread_connects_to_nothing(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert (report["messages"], report["events"], report["isRunning"]) == ([], [], False)


def test_a_fresh_page_shows_what_the_page_that_made_it_shows(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.say("look it up", "u1")
    made.run(rich_turn())
    made.say("thanks", "u2")
    expected = made.run(text("said-3", "you are welcome"))
    assert problems(expected) == []
    assert expected["state"] == {"count": 1, "items": ["a", "b"]}

    fresh = tabs.open(stock, server.url, thread_id=thread_id)
    for _ in range(3):
        report = fresh.connect()
        assert problems(report) == []
        assert_same_page(stock, report, expected)

    again = made.connect()
    assert problems(again) == []
    assert_same_page(stock, again, expected)


HISTORIES: dict[str, list[Step] | None] = {
    "in the first run of a thread": None,
    "after a turn": text("before", "earlier"),
    "after a turn with reasoning": [*reasoning("old-thought", "earlier"), *text("before", "earlier")],
}


def gated(thread_id: str, script: list[Step]) -> Iterator[Step]:
    """The script with a gate before each of its events."""
    for number, step in enumerate(script):
        yield gate(f"{thread_id}-{number}")
        yield step


@pytest.mark.parametrize("history", HISTORIES)
def test_a_page_that_connects_at_any_event_of_a_live_run_ends_up_with_the_whole_run(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, history: str
) -> None:
    running_tab = tabs.open(stock, server.url, thread_id=thread_id)
    earlier = HISTORIES[history]
    if earlier is not None:
        running_tab.say("first", "u0")
        running_tab.run(earlier)
    seen_before = len(running_tab.look()["events"])
    running_tab.say("look it up", "u1")
    script = rich_turn()
    running = running_tab.begin_run(list(gated(thread_id, script)), deadline=60.0)

    returning = tabs.open(stock, server.url, thread_id=thread_id)
    last_return = returning.begin("connect", deadline=60.0)
    fresh: list[Any] = []
    for number in range(len(script)):
        running_tab.call("wait", count=seen_before + number + 1)
        page = tabs.open(stock, server.url, thread_id=thread_id)
        fresh.append(page.begin("connect", deadline=60.0))
        page.wait(type="RUN_STARTED")
        last_return = returning.begin("connect", deadline=60.0)
        server.open_gate(f"{thread_id}-{number}")

    expected = running.result(60)
    assert problems(expected) == []
    for connect in fresh:
        report = connect.result(60)
        assert problems(report) == []
        assert_same_page(stock, report, expected)
    report = last_return.result(60)
    assert problems(report) == []
    assert_same_content(stock, report, expected)


def test_failed_runs_are_restored_and_their_errors_are_not_raised_again(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.say("one", "u1")
    made.run([*text("a1", "first half"), fail("broken once")])
    made.say("two", "u2")
    made.run(text("a2", "whole"))

    finished = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(finished) == []
    assert "CUSTOM" not in types(finished)

    made.say("three", "u3")
    made.run([fail("broken twice")])
    fresh = tabs.open(stock, server.url, thread_id=thread_id)
    report = fresh.connect()
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1", "u2", "a2", "u3"]
    told = [event for event in report["events"] if event["type"] == "CUSTOM"]
    assert [(event["name"], event["value"]["code"], event["value"]["message"]) for event in told] == [
        ("jumpseat.run_error", "agent_error", "broken twice")
    ]
    again = fresh.connect()
    assert problems(again) == []
    fresh.say("four", "u4")
    assert fresh.run(text("a4", "works"))["messages"][-1]["content"] == "works"


QUESTION = {"id": "q1", "reason": "confirm", "message": "Really?"}


def resumed(tab: Tab, report: Report, script: list[Step], payload: Any = "yes") -> Report:
    """Answer the question as the stock hook does: under the run id of the run, or connect, that showed it."""
    resume = [{"interruptId": "q1", "status": "resolved", "payload": payload}]
    return tab.run(script, resume=resume, runId=report["runIds"][-1])


def test_an_interrupt_is_answered_under_the_run_id_of_its_run(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("delete it", "u1")
    asked = tab.run([*text("a1", "sure?"), interrupt(QUESTION)])
    assert [pending["id"] for pending in asked["pendingInterrupts"]] == ["q1"]
    report = resumed(tab, asked, text("a2", "gone"))
    assert problems(report) == []
    assert report["pendingInterrupts"] == []
    assert report["runIds"][0] == report["runIds"][1]
    assert [message["id"] for message in report["messages"]] == ["u1", "a1", "a2"]
    given = server.inputs(thread_id)
    assert [seen.get("resume") for seen in given] == [
        None,
        [{"interruptId": "q1", "status": "resolved", "payload": "yes"}],
    ]
    events = server.get(f"threads/{thread_id}/events")["events"]
    assert [event["type"] for event in events].count("RUN_STARTED") == 2


def test_an_open_interrupt_can_be_answered_after_a_reload(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    first.say("delete it", "u1")
    first.run([*text("a1", "sure?"), interrupt(QUESTION)])

    reloaded = tabs.open(stock, server.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert problems(restored) == []
    assert restored["pendingInterrupts"] == [QUESTION]
    broken = resumed(reloaded, restored, [fail("try again")])
    assert [failure["where"] for failure in broken["failures"]] == ["onRunErrorEvent"]

    reloaded_again = tabs.open(stock, server.url, thread_id=thread_id)
    still_open = reloaded_again.connect()
    assert problems(still_open) == []
    assert still_open["pendingInterrupts"] == [QUESTION]
    report = resumed(reloaded_again, still_open, text("a2", "gone"))
    assert problems(report) == []
    assert report["pendingInterrupts"] == []

    last = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert last["pendingInterrupts"] == []
    assert [message["id"] for message in last["messages"]] == ["u1", "a1", "a2"]


def test_an_expired_interrupt_is_not_offered_and_the_next_run_works(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    first.say("delete it", "u1")
    first.run([*text("a1", "sure?"), interrupt({**QUESTION, "expiresAt": "2020-01-01T00:00:00.000Z"})])

    reloaded = tabs.open(stock, server.url, thread_id=thread_id)
    assert reloaded.connect()["pendingInterrupts"] == []
    reloaded.say("never mind", "u2")
    report = reloaded.run(text("a2", "fine"))
    assert problems(report) == []
    assert report["messages"][-1]["content"] == "fine"


def test_an_interrupt_sent_as_a_custom_event_is_open_after_a_reload_until_it_is_answered(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    first.say("delete it", "u1")
    first.run([*text("a1", "sure?"), emit("CUSTOM", name="on_interrupt", value={"question": "Really?"})])

    def open_questions(report: Report) -> list[Any]:
        return [event["value"] for event in report["events"] if event.get("name") == "on_interrupt"]

    reloaded = tabs.open(stock, server.url, thread_id=thread_id)
    restored = reloaded.connect()
    assert problems(restored) == []
    assert open_questions(restored) == [{"question": "Really?"}]
    command = {"resume": "yes", "interruptEvent": {"question": "Really?"}}
    report = reloaded.run(
        text("a2", "gone"), forwardedProps={"command": command}, runId=restored["runIds"][-1]
    )
    assert problems(report) == []
    assert open_questions(tabs.open(stock, server.url, thread_id=thread_id).connect()) == []


def test_state_of_a_snapshot_survives_a_run_that_sends_only_a_delta(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("count", "u1")
    tab.run([emit("STATE_SNAPSHOT", snapshot={"count": 1, "deep": {"list": [1]}})])
    tab.say("count on", "u2")
    delta = [
        {"op": "replace", "path": "/count", "value": 2},
        {"op": "add", "path": "/deep/list/-", "value": 2},
    ]
    expected = tab.run([emit("STATE_DELTA", delta=delta)])
    assert problems(expected) == []
    assert expected["state"] == {"count": 2, "deep": {"list": [1, 2]}}

    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert report["state"] == expected["state"]
    assert server.get(f"threads/{thread_id}/state")["state"] == expected["state"]


PATCHES: dict[str, list[Step]] = {
    "a delta before any state": [emit("STATE_DELTA", delta=[{"op": "add", "path": "/a", "value": 1}])],
    "a delta on a missing path": [
        emit("STATE_DELTA", delta=[{"op": "replace", "path": "/no/such/path", "value": 1}])
    ],
    "a delta whose second operation fails": [
        emit("STATE_SNAPSHOT", snapshot={"a": 1}),
        emit(
            "STATE_DELTA",
            delta=[
                {"op": "replace", "path": "/a", "value": 2},
                {"op": "remove", "path": "/missing"},
            ],
        ),
    ],
    "a delta whose test fails": [
        emit("STATE_SNAPSHOT", snapshot={"a": 1}),
        emit("STATE_DELTA", delta=[{"op": "test", "path": "/a", "value": 2}]),
    ],
    "a delta that replaces everything": [
        emit("STATE_SNAPSHOT", snapshot={"a": 1}),
        emit("STATE_DELTA", delta=[{"op": "replace", "path": "", "value": {"b": 2}}]),
    ],
    "a patch of a missing activity": [
        emit(
            "ACTIVITY_DELTA",
            messageId="missing",
            activityType="PLAN",
            patch=[{"op": "add", "path": "/a", "value": 1}],
        )
    ],
    "a patch of an activity on a missing path": [
        activity("plan", {"a": 1}),
        emit(
            "ACTIVITY_DELTA",
            messageId="plan",
            activityType="PLAN",
            patch=[{"op": "replace", "path": "/b/c", "value": 1}],
        ),
    ],
    "an activity that must not replace": [
        activity("plan", {"a": 1}),
        activity("plan", {"a": 2}, replace=False),
    ],
    "a list as state": [emit("STATE_SNAPSHOT", snapshot=[1, {"two": 2}])],
}


@pytest.mark.parametrize("patch", PATCHES)
def test_state_and_activities_are_restored_as_the_client_had_them_after(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, patch: str
) -> None:
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.say("go", "u1")
    expected = made.run([*PATCHES[patch], *text("a1", "done")])
    assert problems(expected) == []
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert_same_page(stock, report, expected)


NO_STATE: dict[str, tuple[Any, Any]] = {
    "an empty object replaces state": ({"local": True}, {}),
    "null comes before any state": ({}, None),
}


@pytest.mark.parametrize("case", NO_STATE)
def test_state_is_not_sent_when(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, case: str
) -> None:
    held, sent = NO_STATE[case]
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.call("set", state=held)
    made.say("go", "u1")
    assert problems(made.run([emit("STATE_SNAPSHOT", snapshot=sent)])) == []
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert "STATE_SNAPSHOT" not in types(report)
    assert report["state"] == {}


@pytest.mark.parametrize("falsy", [None, 0, "", False])
def test_state_that_a_page_goes_on_showing_is_sent_although_its_last_snapshot_was(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str, falsy: Any
) -> None:
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.call("set", state={"local": True})
    made.say("go", "u1")
    shown_then = made.run([emit("STATE_SNAPSHOT", snapshot=falsy)])["state"]
    assert shown_then == (falsy if stock.release in SHOWS_FALSY_STATE else {"local": True})
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert report["state"] == {"local": True}
    assert server.get(f"threads/{thread_id}/state")["state"] == {"local": True}


def test_an_unanswered_question_to_a_person_opens_again_after_a_reload_and_its_answer_ends_the_turn(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    approval = {"name": "approve", "kind": "human-in-the-loop"}
    first = tabs.open(core, server.url, thread_id=thread_id, tools=[approval])
    first.say("delete it", "u1")
    asking = [
        emit("TOOL_CALL_START", toolCallId="c1", toolCallName="approve", parentMessageId="a1"),
        emit("TOOL_CALL_ARGS", toolCallId="c1", delta='{"what":"it"}'),
        emit("TOOL_CALL_END", toolCallId="c1"),
    ]
    first.begin_run(asking)
    first.wait(asked="approve")
    tabs.close(first)

    reloaded = tabs.open(core, server.url, thread_id=thread_id, tools=[approval])
    if core.release == "core69":
        report = reloaded.connect()
        assert problems(report) == []
        assert [message["role"] for message in report["messages"]] == ["user", "assistant"]
        assert report["asked"] == []
        return
    assert problems(reloaded.connect()) == []
    reloaded.wait(asked="approve")
    assert [(question["toolCallId"], question["args"]) for question in reloaded.look()["asked"]] == [
        ("c1", {"what": "it"})
    ]
    reloaded.call("answer", name="approve", result="go ahead")
    reloaded.wait(text="You said: go ahead")
    reloaded.wait(idle=True)
    assert problems(reloaded.look()) == []

    last = tabs.open(core, server.url, thread_id=thread_id).connect()
    assert [message["role"] for message in last["messages"]] == ["user", "assistant", "tool", "assistant"]


def test_the_call_of_a_stopped_run_is_shown_as_stopped_after_a_reload(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, server.url, thread_id=thread_id)
    tab.say("delete it", "u1")
    running = tab.begin_run(
        [emit("TOOL_CALL_START", toolCallId="c1", toolCallName="lookup"), gate(thread_id)]
    )
    tab.wait(type="TOOL_CALL_START")
    tab.call("stop")
    running.result(15)
    approval = {"name": "lookup", "kind": "human-in-the-loop"}
    report = tabs.open(core, server.url, thread_id=thread_id, tools=[approval]).connect()
    assert problems(report) == []
    assert report["asked"] == []
    answers = [message["content"] for message in report["messages"] if message["role"] == "tool"]
    assert len(answers) == 1
    assert '"status":"stopped"' in answers[0]


def test_a_frontend_tool_is_run_by_the_client_and_the_next_run_has_its_result(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tool = {"name": "paint", "result": "painted red"}
    tab = tabs.open(core, server.url, thread_id=thread_id, tools=[tool])
    tab.say("paint it", "u1")
    report = tab.run(
        [
            emit("TOOL_CALL_START", toolCallId="c1", toolCallName="paint", parentMessageId="a1"),
            emit("TOOL_CALL_ARGS", toolCallId="c1", delta='{"colour":"red"}'),
            emit("TOOL_CALL_END", toolCallId="c1"),
        ]
    )
    assert problems(report) == []
    assert report["messages"][-1]["content"] == "You said: painted red"
    fresh = tabs.open(core, server.url, thread_id=thread_id).connect()
    assert shown(fresh["messages"]) == shown(report["messages"])


def test_a_result_given_on_the_server_stays_behind_its_call(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    made = tabs.open(stock, server.url, thread_id=thread_id)
    made.say("go", "u1")
    script = [
        emit("TOOL_CALL_START", toolCallId="c1", toolCallName="lookup", parentMessageId="a1"),
        emit("TOOL_CALL_START", toolCallId="c2", toolCallName="lookup", parentMessageId="a1"),
        emit("TOOL_CALL_END", toolCallId="c2"),
        emit("TOOL_CALL_END", toolCallId="c1"),
        *text("a2", "meanwhile"),
        result("c2", "second"),
        result("c1", "first"),
    ]
    expected = made.run(script)
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert_same_page(stock, report, expected)


MEBIBYTE = 1 << 20
PICTURE = {
    "type": "image",
    "source": {"type": "data", "value": "A" * (9 * MEBIBYTE), "mimeType": "image/png"},
}
LARGE: list[Any] = [
    [{"type": "text", "text": "a picture"}, PICTURE],
    "B" * (6 * MEBIBYTE),
    "C" * (6 * MEBIBYTE),
    "the last one",
]


@pytest.fixture(scope="module")
def large_thread(server: Server) -> str:
    """The id of a thread with 20 MiB of messages."""
    thread_id = f"thread-{uuid.uuid4().hex}"
    for number, content in enumerate(LARGE):
        body = {
            "threadId": thread_id,
            "runId": f"run-{number}",
            "messages": [{"id": f"u{number}", "role": "user", "content": content}],
            "state": {},
            "tools": [],
            "context": [],
            "forwardedProps": {"script": text(f"a{number}", f"got {number}")},
        }
        server.http.post(f"{server.url}/agent/default/run", json=body).raise_for_status()
    return thread_id


def test_no_frame_of_a_view_of_20_megabytes_is_over_8_mebibytes(server: Server, large_thread: str) -> None:
    empty = {
        "threadId": large_thread,
        "runId": "look",
        "messages": [],
        "state": {},
        "tools": [],
        "context": [],
    }
    replay = server.http.post(f"{server.url}/agent/default/connect", json=empty).raise_for_status()
    assert max(len(frame) for frame in replay.content.split(b"\n\n")) < 8 * MEBIBYTE


def test_a_view_of_20_megabytes_is_restored_in_order(
    stock: StockClient, server: Server, tabs: Tabs, large_thread: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=large_thread)
    for _ in range(2):
        report = tab.call("connect", deadline=60.0)
        assert problems(report) == []
        assert [message["id"] for message in report["messages"]] == [
            identifier for number in range(4) for identifier in (f"u{number}", f"a{number}")
        ]
        texts = [message["content"] for message in report["messages"]]
        assert (texts[2], texts[4], texts[6]) == (LARGE[1], LARGE[2], LARGE[3])
        assert texts[0][0] == {"type": "text", "text": "a picture"}
        assert "[omitted: " in str(texts[0][1])
