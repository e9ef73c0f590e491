"""The chat page of `jumpseat dev` in a real browser: the stock React client as people use it."""

import re
from typing import Any

from e2e.browser import ANSWERS, CHAT_INPUT, IDLE, QUESTIONS, RUNNING, Browser, Page
from e2e.server import Server

ITEM = '[data-testid="thread-item"]'
NAME = '[data-testid="thread-name"]'
STATE = '[data-testid="state-json"]'
STORY = "Tell me a long story"
LAST_WORDS = "may read from the beginning."

# Words that the page shows when the story waits at a gate; marks and headings may join or split some.
BEFORE_FIRST_GATE = 60
AT_FIRST_GATE = 75
AT_SECOND_GATE = 150


def plain(text: str) -> str:
    """The words of a text without its marks and line breaks."""
    return " ".join(re.sub(r"[*_#`>-]", " ", text).split())


def open_thread_id(page: Page) -> str:
    """The thread that the page shows."""
    return page.call("attribute", selector='[data-testid="page"]', attribute="data-thread-id")


def stored(server: Server, page: Page) -> list[dict[str, Any]]:
    """The messages of the page's thread as the server has them."""
    return server.get(f"threads/{open_thread_id(page)}/messages")["messages"]


def converse(page: Page, message: str, *, deadline: float = 20.0) -> None:
    """Send a message and wait for the whole answer."""
    before = len(page.texts(ANSWERS))
    page.say(message)
    page.wait(ANSWERS, count=before + 1, deadline=deadline)
    page.wait_until_idle(deadline)


def assert_no_problem(page: Page) -> None:
    """Neither the page's error area nor its console has anything to say."""
    assert page.reported() == []
    assert page.problems() == []


def open_gate(server: Server, page: Page, number: int) -> None:
    """Let the story in this page go on behind one of its gates."""
    server.open_gate(f"{open_thread_id(page)}-{number}")


def wait_for_the_end(page: Page) -> None:
    """Wait until the page shows the last words of the story, and no run."""
    page.wait(ANSWERS, text=LAST_WORDS)
    page.wait_until_idle()


def test_a_message_is_answered_and_the_page_asks_no_other_host(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    converse(page, "hello")
    assert "scripted demo" in page.texts(ANSWERS)[-1]
    assert page.texts(QUESTIONS) == ["hello"]
    assert page.call("origins") == [demo.origin]
    assert_no_problem(page)
    page.close()


def test_a_reload_in_the_middle_of_a_long_answer_misses_nothing(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    page.say(STORY)
    before = page.wait_for_words(BEFORE_FIRST_GATE)
    page.call("reload")
    page.wait(RUNNING)
    page.wait_for_words(AT_FIRST_GATE)
    open_gate(chat, page, 1)
    during = page.wait_for_words(AT_SECOND_GATE)
    page.wait(RUNNING)
    assert plain(during).startswith(plain(before)[:-20])
    open_gate(chat, page, 2)
    wait_for_the_end(page)
    assert page.texts(QUESTIONS) == [STORY]
    [answer] = page.texts(ANSWERS)
    assert plain(answer) == plain(stored(chat, page)[-1]["content"])
    assert_no_problem(page)
    page.close()


def test_a_second_window_that_reloads_during_a_run_of_the_first_shows_it_while_it_streams(
    browser: Browser, chat: Server
) -> None:
    page = browser.open(chat.origin)
    converse(page, "thanks")
    other = browser.open(page.call("address"))
    other.wait(ANSWERS, count=1)
    other.wait_until_idle()

    page.say(STORY)
    page.wait_for_words(AT_FIRST_GATE)
    other.call("reload")
    other.wait(RUNNING)
    other.wait(ANSWERS, count=2)
    other.wait_for_words(AT_FIRST_GATE)
    open_gate(chat, page, 1)
    for window in (page, other):
        window.wait_for_words(AT_SECOND_GATE)
        window.wait(RUNNING)
    open_gate(chat, page, 2)
    for window in (page, other):
        wait_for_the_end(window)
    assert other.texts(ANSWERS) == page.texts(ANSWERS)
    assert other.texts(QUESTIONS) == page.texts(QUESTIONS) == ["thanks", STORY]
    for window in (page, other):
        assert_no_problem(window)
        window.close()


def test_after_kill_in_the_middle_of_an_answer_everything_said_is_there_and_the_thread_goes_on(
    browser: Browser, own_chat: Server
) -> None:
    page = browser.open(own_chat.origin)
    converse(page, "hello")
    page.say(STORY)
    page.wait(ANSWERS, count=2)
    before = page.wait_for_words(AT_FIRST_GATE)
    own_chat.restart()

    page.call("reload")
    page.wait(ANSWERS, count=2)
    page.wait_until_idle()
    assert page.texts(QUESTIONS) == ["hello", STORY]
    greeting, story = page.texts(ANSWERS)
    assert "scripted demo" in greeting
    assert plain(story).startswith(plain(before)[:-20])
    assert page.reported() == []
    page.problems()

    converse(page, "thanks")
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert [message["role"] for message in stored(own_chat, page)] == ["user", "assistant"] * 3
    assert_no_problem(page)
    page.close()


def test_a_page_that_stays_open_while_the_server_is_killed_recovers_by_itself(
    browser: Browser, own_chat: Server
) -> None:
    page = browser.open(own_chat.origin)
    page.say(STORY)
    before = page.wait_for_words(AT_FIRST_GATE)
    own_chat.kill()
    page.wait('[data-testid="error-item"]')
    own_chat.start()
    page.wait('[data-testid="connection"][data-state="connected"]', deadline=30.0)
    converse(page, "thanks")
    # The page may still be catching up when the message goes out, and be idle for a moment in between.
    page.wait_for_words(3)
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert plain(page.texts(ANSWERS)[0]).startswith(plain(before)[:-20])
    assert page.texts(QUESTIONS) == [STORY, "thanks"]
    page.close()


def test_an_old_failed_run_does_not_raise_its_error_again_at_a_reload(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    page.say("fail")
    page.wait('[data-testid="error-item"]')
    page.wait_until_idle()
    assert page.reported() == ["The demo agent failed, as it was asked to"]
    said = page.texts(ANSWERS)
    page.problems()

    page.call("reload")
    page.wait(ANSWERS)
    page.wait_until_idle()
    assert page.texts(ANSWERS) == said
    assert_no_problem(page)
    converse(page, "hello")
    page.call("reload")
    page.wait(ANSWERS, count=2)
    page.wait_until_idle()
    assert_no_problem(page)
    page.close()


def test_a_second_message_on_a_busy_thread_is_refused_visibly_and_nothing_vanishes(
    browser: Browser, chat: Server
) -> None:
    first = browser.open(chat.origin)
    converse(first, "thanks")
    second = browser.open(first.call("address"))
    second.wait(ANSWERS, count=1)
    second.wait_until_idle()

    first.say(STORY)
    first.wait_for_words(AT_FIRST_GATE)
    second.say("hello")
    second.wait('[data-testid="error-item"]', text="409 agent_thread_locked")
    assert second.reported() == ["Thread already running"]
    assert second.texts(QUESTIONS) == ["thanks", "hello"]
    assert len(second.texts(ANSWERS)) == 1
    second.problems()

    for number in (1, 2):
        open_gate(chat, first, number)
    wait_for_the_end(first)
    assert first.texts(QUESTIONS) == ["thanks", STORY]
    story = first.texts(ANSWERS)[-1]
    assert plain(story) == plain(stored(chat, first)[-1]["content"])

    second.click("error-reload-thread")
    wait_for_the_end(second)
    assert second.texts(ANSWERS)[-1] == story
    converse(second, "hello")
    assert "scripted demo" in second.texts(ANSWERS)[-1]
    assert [message["role"] for message in stored(chat, second)] == ["user", "assistant"] * 3
    for window in (first, second):
        assert window.problems() == []
        window.close()


def test_the_stop_button_ends_the_answer_and_the_next_message_is_answered(
    browser: Browser, chat: Server
) -> None:
    page = browser.open(chat.origin)
    page.say(STORY)
    page.wait_for_words(AT_FIRST_GATE)
    page.click("copilot-send-button")
    page.wait_until_idle()
    stopped = page.texts(ANSWERS)
    converse(page, "thanks")
    assert page.texts(ANSWERS)[0] == stopped[0]
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert_no_problem(page)
    page.close()


def test_threads_are_opened_renamed_archived_restored_and_deleted(browser: Browser, own_chat: Server) -> None:
    page = browser.open(own_chat.origin)
    converse(page, "hello there")
    first = open_thread_id(page)
    page.click("new-thread")
    page.wait('[data-testid="welcome"]')
    converse(page, "thanks a lot")
    page.wait(ITEM, count=2)
    assert page.texts(NAME) == ["thanks a lot", "hello there"]

    row = f'{ITEM}[data-thread-id="{first}"]'
    page.click("thread-open", within=row)
    page.wait(QUESTIONS, text="hello there")
    assert page.texts(QUESTIONS) == ["hello there"]

    page.call("hover", selector=row)
    page.click("thread-rename", within=row)
    page.call("fill", selector='[data-testid="thread-rename-input"]', value="A new name")
    page.click("thread-rename-save")
    page.wait(NAME, text="A new name")

    page.call("hover", selector=row)
    page.click("thread-archive", within=row)
    page.wait(row, gone=True)
    page.call("click", selector='label:has([data-testid="show-archived"])')
    page.wait(f'{row}[data-archived="true"]')
    page.call("hover", selector=row)
    page.click("thread-unarchive", within=row)
    page.wait(f'{row}[data-archived="false"]')

    page.call("hover", selector=row)
    page.click("thread-delete", within=row)
    page.click("thread-delete-confirm")
    page.wait(row, gone=True)
    assert page.texts(NAME) == ["thanks a lot"]
    assert_no_problem(page)

    own_chat.restart()
    page.call("reload")
    page.wait(ITEM)
    assert page.texts(NAME) == ["thanks a lot"]
    page.close()


def test_state_of_a_snapshot_survives_runs_that_send_only_a_delta_and_reloads(
    browser: Browser, chat: Server
) -> None:
    page = browser.open(chat.origin)
    converse(page, "Add milk and eggs to my list")
    page.wait(STATE, text="milk")
    for wanted in ("bread", "jam"):
        converse(page, f"Add {wanted} to my list")
        page.wait(STATE, text=wanted)
        shown = page.texts(STATE)
        page.call("reload")
        page.wait(STATE, text=wanted)
        page.wait_until_idle()
        assert page.texts(STATE) == shown
    state = chat.get(f"threads/{open_thread_id(page)}/state")["state"]
    assert state["items"] == ["milk", "eggs", "bread", "jam"]
    assert_no_problem(page)
    page.close()


def test_an_approval_can_be_given_after_a_reload(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    page.say("Delete my account")
    page.wait('[data-testid="approve"]')
    page.call("reload")
    page.wait('[data-testid="approval"][data-status="waiting"]')
    page.click("approve")
    page.wait('[data-testid="approval-verdict"][data-approved="true"]')
    page.wait_until_idle()
    roles = [message["role"] for message in stored(chat, page)]
    assert (roles.count("tool"), roles[-1]) == (1, "assistant")
    assert_no_problem(page)
    page.close()


def test_an_interrupt_can_be_answered_after_a_reload(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    page.say("Book a flight to Lisbon")
    page.wait('[data-testid="interrupt"]')
    page.call("reload")
    page.wait('[data-testid="interrupt"]')
    before = len(stored(chat, page))
    page.call("click", selector='[data-testid="interrupt-approve"], [data-testid="interrupt-submit"]')
    page.wait('[data-testid="interrupt"]', gone=True)
    page.wait_until_idle()
    assert len(stored(chat, page)) > before
    assert_no_problem(page)
    page.close()


def test_a_tool_of_the_page_is_run_by_the_page(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    page.say("Change the accent colour to teal")
    page.wait('[data-testid="accent-note"][data-done="true"]')
    page.wait(IDLE)
    roles = [message["role"] for message in stored(chat, page)]
    assert (roles.count("tool"), roles[-1]) == (1, "assistant")
    assert_no_problem(page)
    page.close()


def test_the_page_works_on_a_phone(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin, width=390, height=844)
    page.wait(CHAT_INPUT)
    page.say("hello")
    page.wait(ANSWERS)
    page.wait(f"{ANSWERS}", text="scripted demo")
    assert_no_problem(page)
    page.close()
