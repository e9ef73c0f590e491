"""What a killed or stopped server leaves behind: everything that was said, and a free thread."""

from collections.abc import Callable
from pathlib import Path

from e2e.script import emit, gate, open_text, problems, silence, text, types
from e2e.server import Server, command_line_server
from e2e.stock_clients import StockClient, Tab, Tabs


def open_for_each(stocks: list[StockClient], tabs: Tabs, server: Server, thread_id: str) -> list[Tab]:
    """A page of each release, each on a thread of its own."""
    return [tabs.open(stock, server.url, thread_id=f"{thread_id}-{stock.release}") for stock in stocks]


def test_after_kill_in_the_middle_of_a_run_everything_said_is_there_and_the_thread_takes_the_next_message(
    every_stock: list[StockClient], own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    cut = []
    for tab in open_for_each(every_stock, tabs, server, thread_id):
        tab.say("first", "u1")
        tab.run([*text("a1", "whole"), emit("STATE_SNAPSHOT", snapshot={"turn": 1})])
        tab.say("second", "u2")
        patch = [{"op": "replace", "path": "/turn", "value": 2}]
        script = [emit("STATE_DELTA", delta=patch), *open_text("a2", "ha", "lf"), silence()]
        cut.append(tab.begin_run(script))
        tab.wait(type="TEXT_MESSAGE_CONTENT", count=3)
    server.restart()
    assert [run.result(15)["isRunning"] for run in cut] == [False] * len(cut)

    for reloaded in open_for_each(every_stock, tabs, server, thread_id):
        report = reloaded.connect()
        assert problems(report) == []
        assert [(message["id"], message["content"]) for message in report["messages"]] == [
            ("u1", "first"),
            ("a1", "whole"),
            ("u2", "second"),
            ("a2", "half"),
        ]
        assert report["state"] == {"turn": 2}
        assert types(report)[-1] == "RUN_FINISHED"
        custom = [event for event in report["events"] if event.get("name") == "jumpseat.run_error"]
        assert [event["value"]["code"] for event in custom] == ["RUN_LOST"]
        reloaded.say("third", "u3")
        assert problems(reloaded.run(text("a3", "as if nothing happened"))) == []

    for last in open_for_each(every_stock, tabs, server, thread_id):
        shown = [message["id"] for message in last.connect()["messages"]]
        assert shown == ["u1", "a1", "u2", "a2", "u3", "a3"]


def test_the_message_of_a_run_killed_before_its_agent_spoke_is_kept(
    every_stock: list[StockClient], own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    cut = []
    for tab in open_for_each(every_stock, tabs, server, thread_id):
        tab.say("do not lose me", "u1")
        cut.append(tab.begin_run([silence()]))
        tab.wait(type="RUN_STARTED")
    server.restart()
    for run in cut:
        run.result(15)
    for reloaded in open_for_each(every_stock, tabs, server, thread_id):
        report = reloaded.connect()
        assert problems(report) == []
        assert [message["content"] for message in report["messages"]] == ["do not lose me"]


def test_the_page_that_was_cut_off_takes_the_next_message_itself(
    every_stock: list[StockClient], own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    pages = open_for_each(every_stock, tabs, server, thread_id)
    cut = []
    for tab in pages:
        tab.say("first", "u1")
        cut.append(tab.begin_run([*open_text("a1", "half"), silence()]))
        tab.wait(type="TEXT_MESSAGE_CONTENT")
    server.restart()
    for tab, run in zip(pages, cut, strict=True):
        run.result(15)
        seen = len(problems(tab.look()))
        tab.say("second", "u2")
        report = tab.run(text("a2", "whole"))
        assert problems(report)[seen:] == []
        assert [message["id"] for message in report["messages"]] == ["u1", "a1", "u2", "a2"]
    for fresh in open_for_each(every_stock, tabs, server, thread_id):
        assert [(message["id"], message["content"]) for message in fresh.connect()["messages"]] == [
            ("u1", "first"),
            ("a1", "half"),
            ("u2", "second"),
            ("a2", "whole"),
        ]


def test_a_run_that_does_not_finish_before_the_drain_ends_is_replayed_after_a_restart(
    every_stock: list[StockClient], own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server(runtime={"shutdown_grace_seconds": 0.2})
    running = []
    for tab in open_for_each(every_stock, tabs, server, thread_id):
        tab.say("first", "u1")
        running.append(tab.begin_run([*text("a1", "word"), gate(thread_id)]))
        tab.wait(type="TEXT_MESSAGE_END")
    server.http.post("/control/drain").raise_for_status()
    assert {run.result(15)["events"][-1]["code"] for run in running} == {"SERVER_SHUTDOWN"}
    refused = server.http.post(
        f"{server.url}/agent/default/run", json={"threadId": "other", "runId": "r", "messages": []}
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")

    server.terminate()
    server.start()
    for reloaded in open_for_each(every_stock, tabs, server, thread_id):
        report = reloaded.connect()
        assert problems(report) == []
        assert [message["id"] for message in report["messages"]] == ["u1", "a1"]
        reloaded.say("second", "u2")
        assert problems(reloaded.run(text("a2", "free"))) == []


def test_sigterm_ends_the_command_although_a_debug_feed_is_open_and_a_run_is_silent(
    every_stock: list[StockClient], tabs: Tabs, thread_id: str, tmp_path: Path
) -> None:
    grace = 1.0
    runtime = {"debug": True, "shutdown_grace_seconds": grace}
    db_path = str(tmp_path / "threads.db")
    server = command_line_server(
        tmp_path, "serve", "e2e.apps.scripted:runtime", db_path=db_path, runtime=runtime
    )
    try:
        server.start()
        running = []
        for tab in open_for_each(every_stock, tabs, server, thread_id):
            tab.say("first", "u1")
            running.append(tab.begin_run([*text("a1", "word"), silence()]))
            tab.wait(type="TEXT_MESSAGE_END")
        with server.http.stream("GET", f"{server.url}/cpk-debug-events") as feed:
            assert feed.status_code == 200
            assert server.terminate(within=grace + 5.0) == 0
        assert {run.result(15)["events"][-1]["code"] for run in running} == {"SERVER_SHUTDOWN"}

        server.start()
        for reloaded in open_for_each(every_stock, tabs, server, thread_id):
            report = reloaded.connect()
            assert problems(report) == []
            assert [message["id"] for message in report["messages"]] == ["u1", "a1"]
    finally:
        server.close()
