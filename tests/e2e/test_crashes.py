"""What a killed or stopped server leaves behind: everything that was said, and a free thread."""

from collections.abc import Callable
from pathlib import Path

from e2e.script import emit, gate, open_text, problems, silence, text, types
from e2e.server import Server, command_line_server
from e2e.stock_clients import StockClient, Tabs


def test_after_kill_in_the_middle_of_a_run_everything_said_is_there_and_the_thread_takes_the_next_message(
    stock: StockClient, own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("first", "u1")
    tab.run([*text("a1", "whole"), emit("STATE_SNAPSHOT", snapshot={"turn": 1})])
    tab.say("second", "u2")
    cut = tab.begin_run(
        [
            emit("STATE_DELTA", delta=[{"op": "replace", "path": "/turn", "value": 2}]),
            *open_text("a2", "ha", "lf"),
            silence(),
        ]
    )
    tab.wait(type="TEXT_MESSAGE_CONTENT", count=3)
    server.restart()
    assert cut.result(15)["isRunning"] is False

    reloaded = tabs.open(stock, server.url, thread_id=thread_id)
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
    told = [event["value"]["code"] for event in report["events"] if event.get("name") == "jumpseat.run_error"]
    assert told == ["RUN_LOST"]

    reloaded.say("third", "u3")
    after = reloaded.run(text("a3", "as if nothing happened"))
    assert problems(after) == []
    last = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert [message["id"] for message in last["messages"]] == ["u1", "a1", "u2", "a2", "u3", "a3"]


def test_the_message_of_a_run_killed_before_its_agent_spoke_is_kept(
    stock: StockClient, own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("do not lose me", "u1")
    cut = tab.begin_run([silence()])
    tab.wait(type="RUN_STARTED")
    server.restart()
    cut.result(15)
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    assert [message["content"] for message in report["messages"]] == ["do not lose me"]


def test_the_page_that_was_cut_off_takes_the_next_message_itself(
    stock: StockClient, own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server()
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("first", "u1")
    cut = tab.begin_run([*open_text("a1", "half"), silence()])
    tab.wait(type="TEXT_MESSAGE_CONTENT")
    server.restart()
    cut.result(15)
    seen = len(problems(tab.look()))
    tab.say("second", "u2")
    report = tab.run(text("a2", "whole"))
    assert problems(report)[seen:] == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1", "u2", "a2"]
    fresh = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert [(message["id"], message["content"]) for message in fresh["messages"]] == [
        ("u1", "first"),
        ("a1", "half"),
        ("u2", "second"),
        ("a2", "whole"),
    ]


def test_a_run_that_does_not_finish_before_the_drain_ends_is_replayed_after_a_restart(
    stock: StockClient, own_server: Callable[..., Server], tabs: Tabs, thread_id: str
) -> None:
    server = own_server(runtime={"shutdown_grace_seconds": 0.2})
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    tab.say("first", "u1")
    running = tab.begin_run([*text("a1", "word"), gate(thread_id)])
    tab.wait(type="TEXT_MESSAGE_END")
    server.http.post("/control/drain").raise_for_status()
    assert running.result(15)["events"][-1]["code"] == "SERVER_SHUTDOWN"
    refused = server.http.post(
        f"{server.url}/agent/default/run", json={"threadId": "other", "runId": "r", "messages": []}
    )
    assert (refused.status_code, refused.json()["code"]) == (503, "server_draining")

    server.terminate()
    server.start()
    reloaded = tabs.open(stock, server.url, thread_id=thread_id)
    report = reloaded.connect()
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]] == ["u1", "a1"]
    reloaded.say("second", "u2")
    assert problems(reloaded.run(text("a2", "free"))) == []


def test_sigterm_ends_the_command_although_a_debug_feed_is_open_and_a_run_is_silent(
    core: StockClient, tabs: Tabs, thread_id: str, tmp_path: Path
) -> None:
    grace = 1.0
    runtime = {"debug": True, "shutdown_grace_seconds": grace}
    db_path = str(tmp_path / "threads.db")
    server = command_line_server(
        tmp_path, "serve", "e2e.apps.scripted:runtime", db_path=db_path, runtime=runtime
    )
    try:
        server.start()
        tab = tabs.open(core, server.url, thread_id=thread_id)
        tab.say("first", "u1")
        running = tab.begin_run([*text("a1", "word"), silence()])
        tab.wait(type="TEXT_MESSAGE_END")
        with server.http.stream("GET", f"{server.url}/cpk-debug-events") as feed:
            assert feed.status_code == 200
            assert server.terminate(within=grace + 5.0) == 0
        assert running.result(15)["events"][-1]["code"] == "SERVER_SHUTDOWN"

        server.start()
        report = tabs.open(core, server.url, thread_id=thread_id).connect()
        assert problems(report) == []
        assert [message["id"] for message in report["messages"]] == ["u1", "a1"]
    finally:
        server.close()
