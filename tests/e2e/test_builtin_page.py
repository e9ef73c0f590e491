"""The chat page with a BuiltInAgent: its tools, shared state, approvals, reasoning and suggestions."""

import pytest

from e2e.browser import ANSWERS, CHAT_INPUT, IDLE, QUESTIONS, RUNNING, Browser, Page
from e2e.chat_page import STATE, assert_no_problem, open_thread_id, stored
from e2e.server import Server

INTERRUPT = '[data-testid="interrupt"]'
PROGRESS = '[data-testid="tool-progress"]'
SUGGESTION = '[data-testid="suggestion"]'


def says(page: Page, text: str) -> None:
    """Wait until an answer says this and no run goes on."""
    page.wait(ANSWERS, text=text)
    page.wait_until_idle()


def reload(page: Page) -> None:
    """Load the page anew and wait until its thread is there."""
    page.call("reload")
    page.wait(QUESTIONS)
    page.wait_until_idle()


def test_a_tool_of_the_page_is_called_by_the_model_and_its_result_answered(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.say("paint it teal")
    page.wait('[data-testid="accent-note"][data-done="true"]')
    says(page, "Painted")
    call, result, answer = stored(built_in, page)[1:]
    assert (call["role"], call["content"]) == ("assistant", "Of course")
    assert (result["role"], result["toolCallId"]) == ("tool", "call_paint")
    assert '"teal"' in result["content"]
    assert answer["content"] == "Painted"
    reload(page)
    page.wait('[data-testid="accent-note"][data-done="true"]')
    assert page.texts(ANSWERS)[-1] == "Painted"
    assert_no_problem(page)
    page.close()


def test_state_that_the_model_edits_is_shown_and_restored(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("edit")
    says(page, "Milk and eggs")
    for item in ("milk", "eggs", "é"):
        page.wait(STATE, text=item)
    page.say("add")
    says(page, "Bread too")
    page.wait(STATE, text="bread")
    shown = page.texts(STATE)
    reload(page)
    page.wait(STATE, text="bread")
    assert page.texts(STATE) == shown
    state = built_in.get(f"threads/{open_thread_id(page)}/state")["state"]
    assert state == {"items": ["milk", "eggs", "bread"], "note": "é"}
    assert_no_problem(page)
    page.close()


DECISIONS = {
    "interrupt-approve": '{"approved":true}',
    "interrupt-decline": '{"approved":false}',
    "interrupt-cancel": '{"status":"cancelled"}',
}


@pytest.mark.parametrize("button", DECISIONS)
def test_an_interrupt_tool_waits_for_the_person_through_a_reload(
    browser: Browser, built_in: Server, button: str
) -> None:
    page = browser.open(built_in.origin)
    page.say("approve")
    page.wait(INTERRUPT, text="Book this flight?")
    page.wait_until_idle()
    reload(page)
    page.wait(INTERRUPT, text="Book this flight?")
    page.click(button)
    page.wait(INTERRUPT, gone=True)
    says(page, "I was told")
    assert DECISIONS[button] in page.texts(ANSWERS)[-1]
    reload(page)
    says(page, "I was told")
    assert page.texts(INTERRUPT) == []
    page.say("text")
    says(page, "Good day")
    assert_no_problem(page)
    page.close()


def test_an_interrupt_that_is_answered_at_once_is_known_to_the_model_ever_after(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.say("approve")
    page.wait(INTERRUPT)
    page.click("interrupt-approve")
    says(page, "I was told ['{\"approved\":true}']")
    page.say("recall")
    says(page, "UserTurn")
    assert "No result was recorded" not in page.texts(ANSWERS)[-1]
    assert_no_problem(page)
    page.close()


def test_two_questions_of_one_answer_are_answered_one_after_the_other(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.say("approve-two")
    page.wait(INTERRUPT, count=2)
    reload(page)
    page.wait(INTERRUPT, count=2)
    page.click("interrupt-approve", within='[data-interrupt-id="call_there"]')
    page.wait('[data-interrupt-id="call_there"][data-answered="true"]')
    page.click("interrupt-decline", within='[data-interrupt-id="call_back"]')
    page.wait(INTERRUPT, gone=True)
    says(page, """I was told ['{"approved":true}'], I was told ['{"approved":false}']""")
    assert_no_problem(page)
    page.close()


@pytest.mark.parametrize(("button", "approved"), [("approve", "true"), ("decline", "false")])
def test_a_question_of_the_page_that_the_model_asks_is_answered_after_a_reload(
    browser: Browser, built_in: Server, button: str, approved: str
) -> None:
    page = browser.open(built_in.origin)
    page.say("confirm")
    page.wait('[data-testid="approval"][data-status="waiting"]')
    page.call("reload")
    page.wait('[data-testid="approval"][data-status="waiting"]')
    page.click(button)
    page.wait(f'[data-testid="approval-verdict"][data-approved="{approved}"]')
    says(page, "Decided")
    roles = [message["role"] for message in stored(built_in, page)]
    assert roles == ["user", "assistant", "tool", "assistant"]
    assert_no_problem(page)
    page.close()


def test_reasoning_is_shown_and_restored(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("think")
    says(page, "Thought about it")
    for _ in range(2):
        thought = next(message for message in stored(built_in, page) if message["role"] == "reasoning")
        block = f'[data-message-id="{thought["id"]}"]'
        page.call("click", selector=f"{block} button")
        page.wait(f"{block} p", text="Let me think")
        reload(page)
    assert_no_problem(page)
    page.close()


def test_what_a_running_tool_has_so_far_is_shown_until_it_is_done(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("slow-progress")
    page.wait(PROGRESS, text='{"copied":1}')
    page.call("reload")
    page.wait(PROGRESS, text="copy_slowly")
    page.wait(RUNNING)
    built_in.open_gate(open_thread_id(page))
    page.wait(PROGRESS, gone=True)
    says(page, "Copied slowly")
    reload(page)
    assert page.texts(PROGRESS) == []
    assert_no_problem(page)
    page.close()


def test_an_answer_goes_on_through_a_reload_and_is_stopped_by_the_button(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.wait(IDLE)
    gate = open_thread_id(page)
    page.say(f"story {gate}")
    page.wait_for_words(25)
    page.call("reload")
    page.wait(RUNNING)
    page.wait_for_words(25)
    built_in.open_gate(gate)
    says(page, "the end")

    page.say(f"wait never-{gate}")
    page.wait(ANSWERS, text="half a")
    page.click("copilot-send-button")
    page.wait_until_idle()
    page.say("text")
    says(page, "Good day")
    assert_no_problem(page)
    page.close()


def test_a_failed_answer_is_reported_once_and_the_thread_goes_on(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("broken")
    page.wait('[data-testid="error-item"]', text="provider_error")
    page.wait_until_idle()
    assert page.reported() == ["the line is dead"]
    page.problems()
    reload(page)
    assert_no_problem(page)
    page.say("text")
    says(page, "Good day")
    assert_no_problem(page)
    page.close()


def test_a_message_typed_while_an_answer_runs_stays_in_the_box_until_it_can_be_sent(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.wait(IDLE)
    gate = open_thread_id(page)
    page.say(f"wait {gate}")
    page.wait(ANSWERS, text="half a")
    page.say("text")
    page.wait('[data-testid="message-held"]')
    page.call("value", selector=CHAT_INPUT, expected="text")
    built_in.open_gate(gate)
    page.wait('[data-testid="message-held"]', gone=True)
    page.wait_until_idle()
    assert len(page.texts(QUESTIONS)) == 1
    page.call("press", selector=CHAT_INPUT, key="Enter")
    says(page, "Good day")
    page.call("value", selector=CHAT_INPUT, expected="")
    assert_no_problem(page)
    page.close()


def test_an_error_is_shown_only_in_the_thread_that_it_came_from(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("broken")
    page.wait('[data-testid="error-item"]', text="the line is dead")
    page.wait_until_idle()
    failed = open_thread_id(page)
    page.click("new-thread")
    page.wait('[data-testid="error-item"]', gone=True)
    page.say("text")
    says(page, "Good day")
    assert page.reported() == []
    page.click("thread-open", within=f'[data-thread-id="{failed}"]')
    page.wait('[data-testid="error-item"]', text="the line is dead")
    page.problems()
    page.close()


def test_a_question_shows_the_call_it_is_about_and_a_failed_tool_is_not_called_done(
    browser: Browser, built_in: Server
) -> None:
    page = browser.open(built_in.origin)
    page.say("approve")
    page.wait('[data-testid="interrupt-call"]', text="Lisbon")
    assert "book_flight" in page.texts('[data-testid="interrupt-call"]')[0]
    page.click("interrupt-cancel")
    says(page, "I was told")
    page.say("fail-tool")
    says(page, "It failed")
    page.wait('[data-tool-call-id="call_bad"][data-state="failed"]', text="Failed")
    page.wait('[data-tool-call-id="call_side"][data-state="done"]', text="Done")
    assert_no_problem(page)
    page.close()


def test_the_model_suggests_replies_when_they_are_switched_on(browser: Browser, built_in: Server) -> None:
    page = browser.open(built_in.origin)
    page.say("text")
    says(page, "Good day")
    assert page.texts(SUGGESTION) == []
    before = stored(built_in, page)
    page.call("click", selector='label:has([data-testid="suggest-replies"])')
    page.wait(f'{SUGGESTION}[data-message="text after text"][data-loading="false"]')
    page.wait(SUGGESTION, count=2)
    assert page.texts(SUGGESTION) == ["Once more\ntext after text", "Forced\ntext copilotkitSuggest"]
    # Making suggestions is no turn of the thread, and no thread of its own.
    assert stored(built_in, page) == before
    page.call("click", selector=SUGGESTION, text="Once more")
    page.wait(QUESTIONS, text="text after text")
    page.wait(ANSWERS, count=2)
    page.wait(f'{SUGGESTION}[data-message="text after text after text"]')
    page.wait_until_idle()
    reload(page)
    page.wait(f'{SUGGESTION}[data-message="text after text after text"]')
    assert_no_problem(page)
    page.close()
