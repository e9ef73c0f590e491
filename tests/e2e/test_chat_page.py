"""The chat page of `jumpseat dev` in a real browser: the stock React client as people use it."""

from e2e.browser import ANSWERS, CHAT_INPUT, IDLE, QUESTIONS, RUNNING, Browser, Page
from e2e.chat_page import (
    EDIT,
    ITEM,
    NAME,
    REGENERATE,
    STATE,
    archive,
    assert_no_problem,
    begin_edit,
    converse,
    delete,
    open_beside,
    open_thread_id,
    plain,
    rename,
    restore,
    row,
    stored,
    switch_archived,
)
from e2e.server import Server

STORY = "Tell me a long story"
EDITED = '[data-testid="edit-message-input"]'
LAST_WORDS = "may read from the beginning."

# Words that the page shows when the story waits at a gate; marks and headings may join or split some.
BEFORE_FIRST_GATE = 60
AT_FIRST_GATE = 75
AT_SECOND_GATE = 150


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
    other = open_beside(browser, page)

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
    second = open_beside(browser, first)

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


def test_a_message_that_is_being_changed_can_be_left_as_it_was(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    for message in ("hello", "thanks"):
        converse(page, message)
    before = stored(chat, page)
    begin_edit(page, 1, "something else")
    page.call("press", selector=EDITED, key="Escape")
    page.wait(QUESTIONS, count=2)
    begin_edit(page, 1, " ")
    page.call("press", selector=EDITED, key="Enter")
    page.click("edit-message-cancel")
    assert page.texts(QUESTIONS) == ["hello", "thanks"]
    assert stored(chat, page) == before
    assert_no_problem(page)
    page.close()


def test_a_change_on_a_busy_thread_is_refused_visibly_and_what_was_said_stays(
    browser: Browser, chat: Server
) -> None:
    first = browser.open(chat.origin)
    converse(first, "thanks")
    second = open_beside(browser, first)
    said = second.texts(ANSWERS)
    first.say(STORY)
    first.wait_for_words(AT_FIRST_GATE)
    assert [len(first.texts(button)) for button in (EDIT, REGENERATE)] == [0, 0]

    for change in (
        lambda: (begin_edit(second, 1, "hello"), second.click("edit-message-send")),
        lambda: second.call("click", selector=REGENERATE),
    ):
        change()
        second.wait('[data-testid="error-item"]', text="409 agent_thread_locked")
        second.wait(ANSWERS, count=1)
        second.wait_until_idle()
        assert (second.texts(QUESTIONS), second.texts(ANSWERS)) == (["thanks"], said)
        second.click("error-dismiss")
        second.wait('[data-testid="error-item"]', gone=True)
    for number in (1, 2):
        open_gate(chat, first, number)
    wait_for_the_end(first)
    assert first.texts(QUESTIONS) == ["thanks", STORY]
    assert_no_problem(first)
    for window in (first, second):
        window.close()


def test_nothing_is_changed_while_a_question_is_open(browser: Browser, chat: Server) -> None:
    page = browser.open(chat.origin)
    converse(page, "hello")
    page.wait(REGENERATE)
    page.say("Book a flight to Lisbon")
    page.wait('[data-testid="interrupt"]')
    page.wait_until_idle()
    page.wait(REGENERATE, count=0)
    page.wait(EDIT, count=0)
    page.call("click", selector='[data-testid="interrupt-approve"], [data-testid="interrupt-submit"]')
    page.wait('[data-testid="interrupt"]', gone=True)
    page.wait_until_idle()
    page.wait(REGENERATE)
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

    page.click("thread-open", within=row(first))
    page.wait(QUESTIONS, text="hello there")
    assert page.texts(QUESTIONS) == ["hello there"]

    rename(page, first, "A new name")
    archive(page, first)
    switch_archived(page)
    restore(page, first)
    delete(page, first)
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
