"""The chat page of `jumpseat dev` in a real browser: the stock React client as people use it."""

import re
from typing import Any

from e2e.browser import ANSWERS, CHAT_INPUT, IDLE, QUESTIONS, RUNNING, Browser, Page
from e2e.server import Server

ITEM = '[data-testid="thread-item"]'
NAME = '[data-testid="thread-name"]'
STATE = '[data-testid="state-json"]'
LONG_RUN = 90.0


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


def test_a_message_is_answered_and_the_page_asks_no_other_host(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    converse(page, "hello")
    assert "scripted demo" in page.texts(ANSWERS)[-1]
    assert page.texts(QUESTIONS) == ["hello"]
    assert page.call("origins") == [demo.origin]
    assert_no_problem(page)
    page.close()


def test_a_reload_in_the_middle_of_a_long_answer_misses_nothing(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    page.say("Tell me a long story")
    before = page.wait_for_words(60)
    page.call("reload")
    page.wait(RUNNING)
    during = page.wait_for_words(100)
    assert plain(during).startswith(plain(before)[:-20])
    page.wait_until_idle(LONG_RUN)
    assert page.texts(QUESTIONS) == ["Tell me a long story"]
    [answer] = page.texts(ANSWERS)
    assert plain(answer) == plain(stored(demo, page)[-1]["content"])
    assert_no_problem(page)
    page.close()


def test_two_windows_show_the_same_answer_while_it_streams(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    page.say("Tell me a long story")
    page.wait_for_words(30)
    other = browser.open(page.call("address"))
    other.wait_for_words(60)
    page.wait_until_idle(LONG_RUN)
    other.wait_until_idle(LONG_RUN)
    assert other.texts(ANSWERS) == page.texts(ANSWERS)
    assert other.texts(QUESTIONS) == page.texts(QUESTIONS)
    for window in (page, other):
        assert_no_problem(window)
        window.close()


def test_after_kill_in_the_middle_of_an_answer_everything_said_is_there_and_the_thread_goes_on(
    browser: Browser, demo: Server
) -> None:
    page = browser.open(demo.origin)
    converse(page, "hello")
    page.say("Tell me a long story")
    page.wait(ANSWERS, count=2)
    before = page.wait_for_words(60)
    demo.restart()

    page.call("reload")
    page.wait(ANSWERS, count=2)
    page.wait_until_idle()
    assert page.texts(QUESTIONS) == ["hello", "Tell me a long story"]
    greeting, story = page.texts(ANSWERS)
    assert "scripted demo" in greeting
    assert plain(story).startswith(plain(before)[:-20])
    assert page.reported() == []
    page.problems()

    converse(page, "thanks")
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert [message["role"] for message in stored(demo, page)] == ["user", "assistant"] * 3
    assert_no_problem(page)
    page.close()


def test_a_page_that_stays_open_while_the_server_is_killed_recovers_by_itself(
    browser: Browser, demo: Server
) -> None:
    page = browser.open(demo.origin)
    page.say("Tell me a long story")
    before = page.wait_for_words(60)
    demo.kill()
    page.wait('[data-testid="error-item"]')
    demo.start()
    page.wait('[data-testid="connection"][data-state="connected"]', deadline=30.0)
    converse(page, "thanks")
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert plain(page.texts(ANSWERS)[0]).startswith(plain(before)[:-20])
    assert page.texts(QUESTIONS) == ["Tell me a long story", "thanks"]
    page.close()


def test_an_old_failed_run_does_not_raise_its_error_again_at_a_reload(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
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
    assert_no_problem(page)
    page.close()


def test_a_second_message_on_a_busy_thread_is_refused_where_one_can_see_it(
    browser: Browser, demo: Server
) -> None:
    page = browser.open(demo.origin)
    page.say("Tell me a long story")
    page.wait_for_words(10)
    url = f"{demo.url}/agent/default/run"
    thread = open_thread_id(page)
    message = {"id": "elsewhere", "role": "user", "content": "hello"}
    refused = demo.http.post(url, json={"threadId": thread, "runId": "other", "messages": [message]})
    assert (refused.status_code, refused.json()["code"]) == (409, "agent_thread_locked")
    page.wait_for_words(40)
    assert_no_problem(page)
    page.close()


def test_the_stop_button_ends_the_answer_and_the_next_message_is_answered(
    browser: Browser, demo: Server
) -> None:
    page = browser.open(demo.origin)
    page.say("Tell me a long story")
    page.wait_for_words(20)
    page.click("copilot-send-button")
    page.wait_until_idle()
    stopped = page.texts(ANSWERS)
    converse(page, "thanks")
    assert page.texts(ANSWERS)[0] == stopped[0]
    assert "You are welcome" in page.texts(ANSWERS)[-1]
    assert_no_problem(page)
    page.close()


def test_threads_are_opened_renamed_archived_restored_and_deleted(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
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

    demo.restart()
    page.call("reload")
    page.wait(ITEM)
    assert page.texts(NAME) == ["thanks a lot"]
    page.close()


def test_shared_state_is_shown_and_restored(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    converse(page, "Add milk and eggs to my list")
    page.wait(STATE, text="milk")
    converse(page, "Add bread to my list")
    page.wait(STATE, text="bread")
    shown = page.texts(STATE)
    page.call("reload")
    page.wait(STATE, text="bread")
    assert page.texts(STATE) == shown
    assert_no_problem(page)
    page.close()


def test_an_approval_can_be_given_after_a_reload(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    page.say("Delete my account")
    page.wait('[data-testid="approve"]')
    page.call("reload")
    page.wait('[data-testid="approval"][data-status="waiting"]')
    page.click("approve")
    page.wait('[data-testid="approval-verdict"][data-approved="true"]')
    page.wait_until_idle()
    roles = [message["role"] for message in stored(demo, page)]
    assert (roles.count("tool"), roles[-1]) == (1, "assistant")
    assert_no_problem(page)
    page.close()


def test_an_interrupt_can_be_answered_after_a_reload(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    page.say("Book a flight to Lisbon")
    page.wait('[data-testid="interrupt"]')
    page.call("reload")
    page.wait('[data-testid="interrupt"]')
    before = len(stored(demo, page))
    page.call("click", selector='[data-testid="interrupt-approve"], [data-testid="interrupt-submit"]')
    page.wait('[data-testid="interrupt"]', gone=True)
    page.wait_until_idle()
    assert len(stored(demo, page)) > before
    assert_no_problem(page)
    page.close()


def test_a_tool_of_the_page_is_run_by_the_page(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin)
    page.say("Change the accent colour to teal")
    page.wait('[data-testid="accent-note"][data-done="true"]')
    page.wait(IDLE)
    roles = [message["role"] for message in stored(demo, page)]
    assert (roles.count("tool"), roles[-1]) == (1, "assistant")
    assert_no_problem(page)
    page.close()


def test_the_page_works_on_a_phone(browser: Browser, demo: Server) -> None:
    page = browser.open(demo.origin, width=390, height=844)
    page.wait(CHAT_INPUT)
    page.say("hello")
    page.wait(ANSWERS)
    page.wait(f"{ANSWERS}", text="scripted demo")
    assert_no_problem(page)
    page.close()
