"""The thread list of the stock front ends: the store under useThreads against the thread routes."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

from back_ends import Place
from e2e.script import fail, problems, text
from e2e.server import Server
from e2e.stock_clients import ClientError, StockClient, Tab, Tabs

ALL = {"includeArchived": True}


@pytest.fixture
def lists(shared_server: Callable[..., Server]) -> Server:
    """A server where every user has a list of their own."""
    return shared_server(users=True)


@pytest.fixture
def user() -> dict[str, str]:
    """The headers of a user no other test uses."""
    return {"x-user": uuid.uuid4().hex}


def ids(listed: dict[str, Any]) -> list[str]:
    """The ids of a list, in its order; a list with an error has none."""
    assert (listed["error"], listed["fetchMoreError"]) == (None, None)
    return [thread["id"] for thread in listed["threads"]]


def converse(
    tabs: Tabs, stock: StockClient, server: Server, thread_id: str, said: str, **options: Any
) -> Tab:
    """A page whose thread has one turn."""
    tab = tabs.open(stock, server.url, thread_id=thread_id, **options)
    tab.say(said, f"u-{thread_id}")
    assert problems(tab.run(text(f"a-{thread_id}", "noted"))) == []
    return tab


@pytest.mark.parametrize(
    ("release", "transport"), [("core69", "rest"), ("core75", "rest"), ("core75", "single")]
)
def test_threads_are_listed_renamed_archived_restored_and_deleted(
    stock_clients: Callable[[str], StockClient],
    own_server: Callable[..., Server],
    tabs: Tabs,
    *,
    place: Place,
    release: str,
    transport: str,
) -> None:
    core = stock_clients(release)
    mode = "single-route" if transport == "single" else "multi-route"
    server = own_server(mode=mode, db_path=place.where, runner=dict(place.options))
    for name in ("one", "two", "three/with a slash"):
        tab = converse(tabs, core, server, name, f"This is {name}", transport=transport)

    everything = ["three/with a slash", "two", "one"]
    assert ids(tab.call("threads")) == everything
    first = tab.call("threads")["threads"][-1]
    assert (first["name"], first["archived"], first["agentId"]) == ("This is one", False, "default")

    renamed = tab.call("changeThread", verb="rename", threadId="three/with a slash", name="Renamed")
    assert renamed["threads"][0]["name"] == "Renamed"
    assert tab.call("refetch")["threads"][0]["name"] == "Renamed"

    tab.call("changeThread", verb="archive", threadId="two")
    assert ids(tab.call("refetch")) == ["three/with a slash", "one"]
    assert ids(tab.call("threads", options=ALL)) == everything
    archived = [thread["id"] for thread in tab.call("threads", options=ALL)["threads"] if thread["archived"]]
    assert archived == ["two"]

    tab.call("changeThread", verb="unarchive", threadId="two", options=ALL)
    assert ids(tab.call("refetch", options=ALL)) == everything
    assert ids(tab.call("refetch")) == everything

    tab.call("changeThread", verb="delete", threadId="three/with a slash")
    assert ids(tab.call("refetch")) == ["two", "one"]

    server.restart()
    fresh = tabs.open(core, server.url, thread_id="one", transport=transport)
    assert ids(fresh.call("threads")) == ["two", "one"]


def test_a_client_before_1_74_shows_threads_as_unavailable_over_a_single_endpoint(
    stock_clients: Callable[[str], StockClient],
    shared_server: Callable[..., Server],
    tabs: Tabs,
    thread_id: str,
) -> None:
    server = shared_server(mode="single-route")
    tab = converse(tabs, stock_clients("core69"), server, thread_id, "hello", transport="single")
    with pytest.raises(ClientError, match="Thread endpoints are not available on this CopilotKit runtime"):
        tab.call("threads")
    tab.say("still here", "u2")
    assert problems(tab.run(text("a2", "yes"))) == []


def test_a_thread_is_listed_while_its_first_run_is_in_progress_and_named_by_its_opening_words(
    core: StockClient, lists: Server, user: dict[str, str], tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, lists.url, thread_id=thread_id, headers=user)
    tab.say("# Where is  the *nearest* bakery that is open on Sundays, please?", "u1")
    running = tab.begin_run([*text("a1", "let me see"), {"gate": thread_id}])
    tab.wait(type="TEXT_MESSAGE_END")
    [record] = tab.call("threads")["threads"]
    assert record["name"] == "Where is the *nearest* bakery that is open"
    assert record["createdAt"] == record["updatedAt"] == record["lastRunAt"]
    lists.open_gate(thread_id)
    running.result(15)
    assert tab.call("refetch")["threads"] == [record]

    tab.say("thanks", "u2")
    tab.run(text("a2", "you are welcome"))
    [after] = tab.call("refetch")["threads"]
    assert (after["createdAt"], after["name"]) == (record["createdAt"], record["name"])
    assert after["lastRunAt"] > record["lastRunAt"]


def test_a_list_pages_to_its_end_with_each_thread_once(
    core: StockClient, lists: Server, user: dict[str, str], tabs: Tabs
) -> None:
    made = [f"{user['x-user']}-{number:02}" for number in range(25)]
    for thread in made:
        tab = converse(tabs, core, lists, thread, thread, headers=user)
    page = {"limit": 10}
    assert ids(tab.call("threads", options=page)) == made[:14:-1]
    assert ids(tab.call("nextPage", options=page)) == made[:4:-1]
    last = tab.call("nextPage", options=page)
    assert ids(last) == made[::-1]
    assert last["hasNextPage"] is False


def test_only_a_run_makes_a_thread_also_one_that_fails_at_once(
    core: StockClient, lists: Server, user: dict[str, str], tabs: Tabs, thread_id: str
) -> None:
    unknown = tabs.open(core, lists.url, thread_id=f"{thread_id}-connected", headers=user)
    unknown.connect()
    unknown.call("stop")
    assert ids(unknown.call("threads")) == []
    failing = tabs.open(core, lists.url, thread_id=f"{thread_id}-failed", headers=user)
    failing.say("break", "u1")
    failing.run([fail("at once")])
    assert ids(unknown.call("refetch")) == [f"{thread_id}-failed"]


def test_deleting_a_thread_ends_its_live_run_for_every_reader(
    core: StockClient, server: Server, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, server.url, thread_id=thread_id)
    tab.say("talk for ever", "u1")
    running = tab.begin_run([*text("a1", "word"), {"silence": True}])
    tab.wait(type="TEXT_MESSAGE_END")
    other = tabs.open(core, server.url, thread_id=uuid.uuid4().hex)
    assert ids(other.call("threads"))[0] == thread_id
    other.call("changeThread", verb="delete", threadId=thread_id)
    report = running.result(15)
    assert report["events"][-1]["type"] in ("RUN_FINISHED", "RUN_ERROR")
    assert report["isRunning"] is False
    assert thread_id not in ids(other.call("refetch"))
    assert server.get(f"threads/{thread_id}/messages")["messages"] == []
    assert tabs.open(core, server.url, thread_id=thread_id).connect()["messages"] == []


def test_a_change_that_the_server_refuses_is_reported(
    core: StockClient, lists: Server, user: dict[str, str], tabs: Tabs, thread_id: str
) -> None:
    tab = converse(tabs, core, lists, thread_id, "hello", headers=user)
    assert ids(tab.call("threads")) == [thread_id]
    for verb in ("rename", "archive", "unarchive", "delete"):
        with pytest.raises(ClientError, match="404"):
            tab.call("changeThread", verb=verb, threadId="never-made", name="x")
    assert ids(tab.call("refetch")) == [thread_id]
