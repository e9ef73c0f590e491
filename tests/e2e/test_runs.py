"""A run as the stock clients see it, from the first byte to the end of the body."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing
from typing import Any

import pytest

from e2e.script import emit, gate, problems, shown, silence, text, types
from e2e.server import Server, scripted_server
from e2e.stock_clients import StockClient, Tabs

NEXT_RUNS = 200


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, Server]]:
    """Two servers on one file, which look for each other's wishes every second."""
    shared = str(tmp_path_factory.mktemp("shared") / "threads.db")
    runner = {"lease_ttl": 3.0, "heartbeat": 1.0}
    owner, other = (
        scripted_server(tmp_path_factory.mktemp(name), db_path=shared, runner=runner)
        for name in ("owner", "other")
    )
    with closing(owner), closing(other):
        yield owner.start(), other.start()


def test_a_message_is_answered_and_nothing_goes_wrong(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    stock.call("stray")
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("hello", "u1")
    report = tab.run(text("a1", "good ", "day"))
    assert problems(report) == []
    assert types(report) == [
        "RUN_STARTED",
        "TEXT_MESSAGE_START",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_CONTENT",
        "TEXT_MESSAGE_END",
        "RUN_FINISHED",
    ]
    assert shown(report["messages"]) == [
        {"id": "u1", "role": "user", "content": "hello"},
        {"id": "a1", "role": "assistant", "content": "good day"},
    ]
    assert stock.call("stray") == []


def test_a_second_run_on_a_busy_thread_is_reported_as_http_409_and_the_first_is_undisturbed(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    second = tabs.open(stock, server.url, thread_id=thread_id)
    first.say("one", "u1")
    running = first.begin_run([*text("a1", "begun"), gate(thread_id), *text("a2", "ended")])
    first.wait(type="TEXT_MESSAGE_END")

    second.say("two", "u2")
    refused = second.run(text("b1", "never"))
    assert any("HTTP 409" in str(problem) for problem in problems(refused))
    assert any("Thread already running" in str(problem) for problem in problems(refused))
    assert refused["isRunning"] is False
    assert refused["events"] == []

    server.open_gate(thread_id)
    report = running.result(15)
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1", "a2"]


def test_the_next_run_can_start_the_instant_the_body_ended(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("again and again", "u1")
    report: dict[str, Any] = {}
    for number in range(NEXT_RUNS):
        report = tab.run(text(f"a{number}", "ok"))
        assert problems(report) == []
    assert len(report["messages"]) == NEXT_RUNS + 1


def test_a_run_whose_tab_was_closed_completes_and_is_replayed(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    leaving = tabs.open(stock, server.url, thread_id=thread_id)
    leaving.say("go on without me", "u1")
    leaving.begin_run([*text("a1", "before"), gate(thread_id), *text("a2", "after")])
    leaving.wait(type="TEXT_MESSAGE_END")
    tabs.close(leaving)
    server.open_gate(thread_id)

    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1", "a2"]
    assert types(report)[-1] == "RUN_FINISHED"


def test_two_tabs_that_connect_during_a_run_see_the_same_events(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    running = tabs.open(stock, server.url, thread_id=thread_id)
    running.say("look, everyone", "u1")
    ran = running.begin_run([*text("a1", "one"), gate(thread_id), *text("a2", "two")])
    running.wait(type="TEXT_MESSAGE_END")

    watching = [tabs.open(stock, server.url, thread_id=thread_id) for _ in range(2)]
    connects: list[Future[Any]] = [tab.begin("connect") for tab in watching]
    for tab in watching:
        tab.wait(type="TEXT_MESSAGE_END")
    server.open_gate(thread_id)

    reports = [connect.result(15) for connect in connects]
    assert reports[0]["events"] == reports[1]["events"]
    ran.result(15)
    for report in reports:
        assert problems(report) == []
        assert [message["id"] for message in report["messages"]] == ["u1", "a1", "a2"]


def test_stop_ends_the_stream_and_the_client_becomes_idle(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, server.url, thread_id=thread_id)
    tab.say("talk for ever", "u1")
    running = tab.begin_run([*text("a1", "word"), silence()])
    tab.wait(type="TEXT_MESSAGE_END")
    tab.call("stop")

    report = running.result(15)
    assert problems(report) == []
    assert report["isRunning"] is False
    assert types(report)[-1] == "RUN_FINISHED"
    tab.say("and now?", "u2")
    assert problems(tab.run(text("a2", "fine"))) == []


def test_stop_ends_a_run_that_another_process_executes(
    core: StockClient, two_processes: tuple[Server, Server], tabs: Tabs, thread_id: str
) -> None:
    owner, other = two_processes
    running_tab = tabs.open(core, owner.url, thread_id=thread_id)
    running_tab.say("talk for ever", "u1")
    running = running_tab.begin_run([*text("a1", "word"), silence()])
    running_tab.wait(type="TEXT_MESSAGE_END")

    watching = tabs.open(core, other.url, thread_id=thread_id)
    connecting = watching.begin("connect")
    watching.wait(type="TEXT_MESSAGE_END")
    watching.call("stop")

    for report in (running.result(15), connecting.result(15)):
        assert problems(report) == []
        assert report["isRunning"] is False
        assert types(report)[-1] == "RUN_FINISHED"


@pytest.mark.parametrize("transport", ["rest", "single"])
def test_suggestions_leave_no_thread(
    core: StockClient, shared_server: Callable[..., Server], tabs: Tabs, thread_id: str, transport: str
) -> None:
    mode = "single-route" if transport == "single" else "multi-route"
    server = shared_server(mode=mode, users=True)
    user = {"x-user": thread_id}
    tab = tabs.open(core, server.url, thread_id=thread_id, transport=transport, headers=user)
    tab.say("hello", "u1")
    assert problems(tab.run()) == []
    suggested = tab.call(
        "suggest", configuration={"instructions": "Offer to go on", "providerAgentId": "default"}
    )
    assert [suggestion["title"] for suggestion in suggested["suggestions"]] == ["Go on"]
    assert [seen["threadId"] for seen in server.inputs(thread_id)] == [thread_id]
    assert _listed(server, mode, user) == [thread_id]


def test_a_client_with_a_single_endpoint_runs_stops_and_connects(
    core: StockClient, shared_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = shared_server(mode="single-route")
    tab = tabs.open(core, server.url, thread_id=thread_id, transport="single")
    tab.say("hello", "u1")
    running = tab.begin_run([*text("a1", "word"), silence()])
    tab.wait(type="TEXT_MESSAGE_END")
    tab.call("stop")
    assert problems(running.result(15)) == []

    report = tabs.open(core, server.url, thread_id=thread_id, transport="single").connect()
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1"]


def test_a_client_finds_a_single_endpoint_by_itself(
    core: StockClient, shared_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = shared_server(mode="single-route")
    tab = tabs.open(core, server.url, thread_id=thread_id)
    assert tab.call("info")["transport"] == "single"
    tab.say("hello", "u1")
    assert problems(tab.run(text("a1", "hello"))) == []


def test_a_client_that_is_told_the_wrong_transport_learns_what_to_change(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, server.url, thread_id=thread_id, transport="single")
    report = tab.look()
    assert report["status"] == "error"
    assert [error["code"] for error in report["coreErrors"]] == ["runtime_info_fetch_failed"]
    if core.release != "core69":
        assert "mounted in multi-route mode" in report["coreErrors"][0]["message"]


def test_ids_comments_and_retry_of_the_stream_are_parsed_over(
    client: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(client, server.url, thread_id=thread_id)
    tab.say("strange text", "u1")
    strange = "line one\nline two\r\n\u2028 \u0000 \U0001f600 data: x\n\n: not a comment"
    report = tab.run([emit("TEXT_MESSAGE_CHUNK", messageId="a1", role="assistant", delta=strange)])
    assert problems(report) == []
    assert report["messages"][-1]["content"] == strange


def _listed(server: Server, mode: str, user: dict[str, str]) -> list[str]:
    if mode == "multi-route":
        return [thread["id"] for thread in server.get("threads", headers=user)["threads"]]
    envelope = {"method": "resource/request", "params": {"path": "/threads", "httpMethod": "GET"}}
    answer = server.http.post(server.url, json=envelope, headers=user).raise_for_status()
    return [thread["id"] for thread in answer.json()["threads"]]
