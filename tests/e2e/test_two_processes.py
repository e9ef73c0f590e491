"""The stock React client against two processes on one store, and no request is bound to one of them."""

import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from e2e.browser import ANSWERS, QUESTIONS, RUNNING, Browser, Page
from e2e.chat_page import (
    ITEM,
    NAME,
    archive,
    assert_no_problem,
    converse,
    delete,
    edit,
    open_thread_id,
    plain,
    regenerate,
    rename,
    restore,
    row,
    switch_archived,
    wait_until_shown,
)
from e2e.deployment import NAMES, Deployment, User, deployed
from e2e.narration import GATES, STORY
from postgres_server import lent_schema, shared_server
from shared_redis import redis_url

__all__ = ["redis_url"]

AT_FIRST_GATE, AT_SECOND_GATE = GATES
PAGE_SIZE = 50
STORED_SECONDS = 10.0
WHOLE_STORY = " ".join(STORY)
TOOL_CARD = '[data-testid="tool-card"]'

MakeDeployment = Callable[..., AbstractContextManager[Deployment]]


@contextmanager
def on_postgres(folder: Path, **options: Any) -> Iterator[Deployment]:
    """Two processes on PostgreSQL."""
    dsn = shared_server().dsn()
    with lent_schema() as schema, deployed(folder, "postgres", dsn=dsn, schema=schema, **options) as made:
        yield made


@pytest.fixture(scope="module", params=["postgres", "redis"])
def making(request: pytest.FixtureRequest) -> MakeDeployment:
    """How to start two processes on each store in turn, with options of its runner."""
    if request.param == "postgres":
        return on_postgres
    url = request.getfixturevalue("redis_url")
    return lambda folder, **options: deployed(folder, "redis", url=url, prefix=uuid.uuid4().hex, **options)


@pytest.fixture(scope="module")
def deployment(making: MakeDeployment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Deployment]:
    """Two processes that the tests leave alive."""
    with making(tmp_path_factory.mktemp("deployment")) as made:
        yield made


@pytest.fixture
def user(deployment: Deployment) -> User:
    """Somebody who has no thread yet."""
    return deployment.user()


def opened(browser: Browser, user: User, address: str | None = None) -> Page:
    """A window of this user, on a new thread or on the one at an address."""
    return browser.open(address or user.deployment.proxy.origin, cookies=user.cookies)


def listed(user: User, *, archived: bool = False) -> list[str]:
    """The ids of a user's threads, on which the processes agree."""
    return [record["id"] for record in records(user, archived=archived)]


def records(user: User, *, archived: bool = False) -> list[dict[str, Any]]:
    """A user's threads, on which the processes agree."""
    path = f"threads?includeArchived={str(archived).lower()}"
    north, south = (user.get(path, from_process=name)["threads"] for name in NAMES)
    assert north == south
    return north


def wait_until(user: User, changed: Callable[[list[dict[str, Any]]], bool]) -> None:
    """Wait until the store has a change, which the page shows before it has sent it."""
    deadline = time.monotonic() + STORED_SECONDS
    while not changed(user.get("threads?includeArchived=true")["threads"]):
        assert time.monotonic() < deadline, "the store does not get the change"
        time.sleep(0.02)


def shown(page: Page) -> list[str]:
    """The ids of the threads in the page's list."""
    return page.call("attributes", selector=ITEM, attribute="data-thread-id")


def begin_story(page: Page) -> str:
    """Ask for the story, wait until it stands at its first gate, and return the thread."""
    page.say("story")
    page.wait_for_words(AT_FIRST_GATE)
    return open_thread_id(page)


def finish_story(page: Page) -> None:
    """Wait until the page shows the end of the story, and no run."""
    page.wait(ANSWERS, text=STORY[-1])
    page.wait_until_idle()


def test_a_list_agrees_with_the_store_through_every_change(browser: Browser, user: User) -> None:
    page = opened(browser, user)
    converse(page, "hello there")
    first = open_thread_id(page)
    page.click("new-thread")
    page.wait('[data-testid="welcome"]')
    converse(page, "thanks a lot")
    page.wait(ITEM, count=2)
    second = open_thread_id(page)
    assert page.texts(NAME) == ["thanks a lot", "hello there"]
    assert shown(page) == listed(user) == [second, first]

    rename(page, first, "A new name")
    wait_until(user, lambda found: found[1]["name"] == "A new name")
    page.call("reload")
    page.wait(f"{row(first)} {NAME}", text="A new name")
    archive(page, first)
    wait_until(user, lambda found: found[1]["archived"])
    page.call("reload")
    page.wait(row(second))
    assert shown(page) == listed(user) == [second]
    switch_archived(page)
    page.wait(row(first))
    assert shown(page) == listed(user, archived=True) == [second, first]
    restore(page, first)
    wait_until(user, lambda found: not found[1]["archived"])
    switch_archived(page)
    page.wait(ITEM, count=2)
    assert shown(page) == listed(user) == [second, first]

    delete(page, first)
    wait_until(user, lambda found: len(found) == 1)
    assert shown(page) == listed(user, archived=True) == [second]
    page.call("reload")
    page.wait(row(second))
    assert shown(page) == [second]
    assert {name for name in NAMES if user.requests(name, "threads")} == set(NAMES)
    assert_no_problem(page)
    page.close()


def test_a_list_is_paged_to_its_end_with_each_thread_once(browser: Browser, user: User) -> None:
    made = [f"{user.name}-{number:02}" for number in range(PAGE_SIZE + 10)]
    for thread_id in made:
        user.run(thread_id)
    assert listed(user) == made[::-1]
    page = opened(browser, user)
    page.wait(ITEM, count=PAGE_SIZE)
    assert shown(page) == made[: -PAGE_SIZE - 1 : -1]
    page.click("load-more")
    page.wait(ITEM, count=len(made))
    assert shown(page) == made[::-1]
    page.wait('[data-testid="load-more"]', gone=True)
    assert_no_problem(page)
    page.close()


def test_a_reload_that_lands_on_the_other_process_misses_nothing_and_doubles_nothing(
    browser: Browser, user: User
) -> None:
    page = opened(browser, user)
    thread_id = begin_story(page)
    (other,) = set(NAMES) - {user.runs_on()}
    for _ in range(10):
        page.call("reload")
        page.wait(RUNNING)
        page.wait_for_words(AT_FIRST_GATE)
        assert plain(page.texts(ANSWERS)[-1]) == " ".join(STORY[:AT_FIRST_GATE])
        if user.requests(other, "connect"):
            break
        user.next_goes_to(other)
    assert user.requests(other, "connect")

    user.deployment.open_gate(f"{thread_id}-1")
    assert plain(page.wait_for_words(AT_SECOND_GATE)) == " ".join(STORY[:AT_SECOND_GATE])
    user.deployment.open_gate(f"{thread_id}-2")
    finish_story(page)
    assert plain(page.texts(ANSWERS)[-1]) == WHOLE_STORY
    assert page.texts(QUESTIONS) == ["story"]
    assert len(page.texts(TOOL_CARD)) == 1
    asked, called, found, told = user.messages(thread_id)
    assert (asked["content"], called["toolCalls"][0]["args"], found["content"]) == (
        "story",
        '{"q":"story"}',
        "found",
    )
    assert plain(told["content"]) == WHOLE_STORY
    assert_no_problem(page)
    page.close()


def test_the_stop_button_ends_a_run_of_the_other_process_within_a_second(
    browser: Browser, user: User
) -> None:
    page = opened(browser, user)
    delays: list[float] = []
    # The page may ask for something else just before the click, and shift the turns: then it is done again.
    while len(delays) < 3 and len(page.texts(ANSWERS)) < 10:
        before = {name: len(user.requests(name, "run")) for name in NAMES}
        page.say("hang")
        page.wait(ANSWERS, count=sum(before.values()) + 1)
        page.wait_for_words(3)
        (owner,) = [name for name in NAMES if len(user.requests(name, "run")) > before[name]]
        (other,) = set(NAMES) - {owner}
        stops = len(user.requests(other, "stop"))
        user.next_goes_to(other)
        page.click("copilot-send-button")
        page.wait_until_idle(5.0)
        ended = datetime.fromisoformat(user.runs(open_thread_id(page))[-1]["endedAt"]).timestamp()
        delays += [ended - asked for asked in user.requests(other, "stop")[stops:]]
    assert len(delays) == 3
    # The lowest of them: other work on the machine only ever adds to it.
    assert min(delays) < 1.0
    runs = user.runs(open_thread_id(page))
    assert {run["status"] for run in runs} == {"stopped"}
    assert page.texts(ANSWERS) == ["a few words"] * len(runs)
    converse(page, "thanks")
    assert "to 'thanks'" in page.texts(ANSWERS)[-1]
    assert_no_problem(page)
    page.close()


def contents(messages: list[dict[str, Any]]) -> list[str]:
    """What the messages say."""
    return [message["content"] for message in messages]


def transcript(page: Page) -> list[str]:
    """What the page shows, questions and answers in turn."""
    pairs = zip(page.texts(QUESTIONS), page.texts(ANSWERS), strict=True)
    return [said for pair in pairs for said in pair]


def assert_a_reload_shows(page: Page, user: User, expected: list[str]) -> None:
    """The page shows this, the store has it, and it is there again after a reload."""
    assert transcript(page) == expected
    assert contents(user.messages(open_thread_id(page))) == expected
    page.call("reload")
    page.wait(ANSWERS, count=len(expected) // 2)
    page.wait_until_idle()
    assert transcript(page) == expected


def test_answers_are_regenerated_and_messages_edited_and_older_branches_stay_readable(
    browser: Browser, user: User
) -> None:
    page = opened(browser, user)
    branches: list[list[str]] = []
    for said in ("one", "two", "three"):
        converse(page, said)
        branches.append(transcript(page))
    changes: list[tuple[Callable[[], None], int]] = [
        (lambda: regenerate(page, 3), 3),
        (lambda: edit(page, 2, "second"), 2),
        (lambda: regenerate(page, 1), 1),
        (lambda: edit(page, 1, "first"), 1),
    ]
    for change, count in changes:
        change()
        branches.append(transcript(page))
        assert len(branches[-1]) == 2 * count
        assert_a_reload_shows(page, user, branches[-1])
    converse(page, "next")
    branches.append(transcript(page))
    assert branches[-1][:3] == [*branches[-2], "next"]
    assert_a_reload_shows(page, user, branches[-1])

    thread_id = open_thread_id(page)
    runs = user.runs(thread_id)
    numbers = {run["runKey"]: number for number, run in enumerate(runs, 1)}
    # The run of the message that is asked again, or changed; an edit that keeps the id is a change of it.
    assert [numbers.get(run.get("parentRunKey")) for run in runs] == [None, 1, 2, 3, 2, 1, 1, 7]
    for run, branch in zip(runs, branches, strict=True):
        for name in NAMES:
            at = user.get(f"threads/{thread_id}/messages?at={run['runKey']}", from_process=name)
            assert contents(at["messages"]) == branch
    assert_no_problem(page)
    page.close()


def test_a_stale_window_is_refused_while_the_other_one_runs_and_starts_a_branch_afterwards(
    browser: Browser, user: User
) -> None:
    first = opened(browser, user)
    converse(first, "one")
    stale = opened(browser, user, first.call("address"))
    wait_until_shown(stale)
    thread_id = begin_story(first)

    stale.say("two")
    stale.wait('[data-testid="error-item"]', text="409 agent_thread_locked")
    for number in GATES.values():
        user.deployment.open_gate(f"{thread_id}-{number}")
    finish_story(first)
    told = user.messages(thread_id)
    assert plain(told[-1]["content"]) == WHOLE_STORY
    converse(stale, "three")
    greeting, answer = stale.texts(ANSWERS)
    for window in (first, stale):
        window.call("reload")
        window.wait(QUESTIONS, text="three")
        window.wait_until_idle()
        assert window.texts(QUESTIONS) == ["one", "two", "three"]
        assert window.texts(ANSWERS) == [greeting, answer]
        window.close()
    assert contents(user.messages(thread_id)) == ["one", greeting, "two", "three", answer]
    _, story, _ = user.runs(thread_id)
    assert user.get(f"threads/{thread_id}/messages?at={story['runKey']}")["messages"] == told


def test_after_kill_of_the_process_that_runs_it_a_thread_shows_all_that_was_said_and_goes_on(
    browser: Browser, making: MakeDeployment, tmp_path: Path
) -> None:
    with making(tmp_path, lease_ttl=1.5, heartbeat=0.25) as deployment:
        user = deployment.user()
        page = opened(browser, user)
        thread_id = begin_story(page)
        owner = user.runs_on()
        (other,) = set(NAMES) - {owner}
        deployment.servers[owner].kill()

        page.wait('[data-testid="error-item"]', text="Connected again", deadline=30.0)
        page.wait_until_idle()
        said = " ".join(STORY[:AT_FIRST_GATE])
        assert plain(page.texts(ANSWERS)[-1]) == said
        page.call("reload")
        page.wait_for_words(AT_FIRST_GATE)
        page.wait_until_idle()
        assert plain(page.texts(ANSWERS)[-1]) == said
        assert page.reported() == []
        [run] = user.get(f"threads/{thread_id}/runs", from_process=other)["runs"]
        assert (run["status"], run["error"]["code"]) == ("lost", "RUN_LOST")
        page.problems()

        converse(page, "thanks")
        assert f"of {other} to 'thanks'" in page.texts(ANSWERS)[-1]
        assert page.texts(QUESTIONS) == ["story", "thanks"]
        assert page.reported() == []
        page.close()


def test_a_process_can_be_replaced_in_the_middle_of_a_run_and_nobody_is_refused(
    browser: Browser, deployment: Deployment, user: User
) -> None:
    page = opened(browser, user)
    thread_id = begin_story(page)
    owner = user.runs_on()
    (other,) = set(NAMES) - {owner}
    with deployment.replaced(owner) as ended:
        for number in range(4):
            assert f"of {other} to" in user.run(f"{user.name}-{number}")
        for name in GATES.values():
            deployment.open_gate(f"{thread_id}-{name}")
        finish_story(page)
        assert ended.result(30.0) == 0
        assert plain(page.texts(ANSWERS)[-1]) == WHOLE_STORY
        converse(page, "thanks")
        assert f"of {other} to 'thanks'" in page.texts(ANSWERS)[-1]
    assert_no_problem(page)
    page.close()
