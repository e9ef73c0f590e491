"""What a thread shows after edits, regenerations, trimmed requests and stale pages."""

from collections.abc import Callable
from typing import Any

import pytest

from e2e.script import Report, emit, gate, problems, text
from e2e.server import Server
from e2e.stock_clients import StockClient, Tab, Tabs

TURNS = 50


def shown_ids(tabs: Tabs, stock: StockClient, server: Server, thread_id: str) -> list[str]:
    """The ids of the messages that a fresh page shows."""
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert problems(report) == []
    return [message["id"] for message in report["messages"]]


def take_turn(tab: Tab, number: str, said: str = "hello") -> Report:
    """One message and its answer."""
    tab.say(said, f"u{number}")
    report = tab.run(text(f"a{number}", f"answer {number}"))
    assert problems(report) == []
    return report


def keep(tab: Tab, *ids: str) -> None:
    """Cut the page's messages down to these, as editing and regenerating do."""
    by_id = {message["id"]: message for message in tab.look()["messages"]}
    tab.call("set", messages=[by_id[each] for each in ids])


def test_regenerating_an_answer_replaces_it(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    take_turn(tab, "1")
    take_turn(tab, "2")
    keep(tab, "u1", "a1", "u2")
    assert problems(tab.run(text("a2-again", "better"))) == []
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1", "u2", "a2-again"]


def test_editing_a_message_cuts_what_followed_it(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    for number in ("1", "2", "3"):
        take_turn(tab, number)
    keep(tab, "u1", "a1")
    take_turn(tab, "2-edited", "something else")
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1", "u2-edited", "a2-edited"]


def test_editing_a_message_under_its_own_id_shows_the_new_text(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    take_turn(tab, "1")
    take_turn(tab, "2", "before")
    keep(tab, "u1", "a1")
    take_turn(tab, "2", "after")
    report = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert [(message["id"], message["content"]) for message in report["messages"]][2:] == [
        ("u2", "after"),
        ("a2", "answer 2"),
    ]


def test_a_stale_page_that_goes_on_shows_what_its_agent_saw_and_so_does_the_other_one_in_turn(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    take_turn(first, "1")
    stale = tabs.open(stock, server.url, thread_id=thread_id)
    stale.connect()
    take_turn(first, "2")
    take_turn(stale, "3")
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1", "u3", "a3"]
    take_turn(first, "4")
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1", "u2", "a2", "u4", "a4"]


def test_a_second_message_during_a_run_is_refused_and_can_be_sent_again(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    first = tabs.open(stock, server.url, thread_id=thread_id)
    first.say("one", "u1")
    running = first.begin_run([gate(thread_id), *text("a1", "answer")])
    first.wait(type="RUN_STARTED")
    second = tabs.open(stock, server.url, thread_id=thread_id)
    second.say("two", "u2")
    refused = second.run(text("a2", "never"))
    assert any("HTTP 409" in str(problem) for problem in problems(refused))
    server.open_gate(thread_id)
    running.result(15)
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1"]
    seen = len(problems(refused))
    assert problems(second.run(text("a2", "now")))[seen:] == []
    assert shown_ids(tabs, stock, server, thread_id) == ["u1", "a1", "u2", "a2"]


def test_a_snapshot_of_the_agent_is_the_view(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(stock, server.url, thread_id=thread_id)
    take_turn(tab, "1")
    tab.say("tidy up", "u2")
    snapshot: list[dict[str, Any]] = [
        {"id": "u1-renamed", "role": "user", "content": "hello"},
        {"id": "summary", "role": "assistant", "content": "what happened so far"},
        {"id": "u2", "role": "user", "content": "tidy up"},
    ]
    report = tab.run([emit("MESSAGES_SNAPSHOT", messages=snapshot), *text("a2", "done")])
    assert problems(report) == []
    assert [message["id"] for message in report["messages"]][-1] == "a2"
    assert {message["id"] for message in report["messages"]} == {"u1-renamed", "summary", "u2", "a2"}
    fresh = tabs.open(stock, server.url, thread_id=thread_id).connect()
    assert {message["id"] for message in fresh["messages"]} == {"u1-renamed", "summary", "u2", "a2"}


@pytest.mark.parametrize(
    "sends", [{"last": 1}, {"last": 2}, {"first": 10, "last": 10}], ids=["last", "last-two", "ends"]
)
def test_a_client_that_trims_what_it_sends_loses_nothing_from_the_view(
    stock_clients: Callable[[str], StockClient], server: Server, tabs: Tabs, thread_id: str, sends: Any
) -> None:
    core = stock_clients("core75")
    tab = tabs.open(core, server.url, thread_id=thread_id, sends=sends)
    for number in range(TURNS):
        take_turn(tab, str(number))
    expected = [identifier for number in range(TURNS) for identifier in (f"u{number}", f"a{number}")]
    assert shown_ids(tabs, core, server, thread_id) == expected
    sent = server.inputs(thread_id)[-1]["messages"]
    assert len(sent) == sum(sends.values())


def test_a_message_that_a_page_loaded_shortened_stays_whole_when_that_page_goes_on(
    stock: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    said = "x" * (9 << 20)
    take_turn(tabs.open(stock, server.url, thread_id=thread_id), "1", said)
    page = tabs.open(stock, server.url, thread_id=thread_id)
    loaded = page.connect()
    assert problems(loaded) == []
    assert loaded["messages"][0]["content"] == f"[omitted: {len(said)} bytes]"
    take_turn(page, "2")
    asked = server.inputs(thread_id)[-1]["messages"]
    assert [message["id"] for message in asked] == ["u1", "a1", "u2"]
    assert asked[0]["content"] == said
