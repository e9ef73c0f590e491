"""What the tests of the chat page do with it, whatever serves it."""

import re
from typing import Any

from e2e.browser import ANSWERS, QUESTIONS, Browser, Page
from e2e.server import Server

ITEM = '[data-testid="thread-item"]'
NAME = '[data-testid="thread-name"]'
STATE = '[data-testid="state-json"]'
EDIT = '[data-testid="copilot-edit-button"]'
REGENERATE = '[data-testid="copilot-regenerate-button"]'


def plain(text: str) -> str:
    """The words of a text without its marks and line breaks."""
    return " ".join(re.sub(r"[*_#`>-]", " ", text).split())


def open_thread_id(page: Page) -> str:
    """The thread that the page shows."""
    return page.call("attribute", selector='[data-testid="page"]', attribute="data-thread-id")


def stored(server: Server, page: Page) -> list[dict[str, Any]]:
    """The messages of the page's thread as the server has them."""
    return server.get(f"threads/{open_thread_id(page)}/messages")["messages"]


def row(thread_id: str) -> str:
    """The selector of a thread in the list."""
    return f'{ITEM}[data-thread-id="{thread_id}"]'


def converse(page: Page, message: str, *, deadline: float = 20.0) -> None:
    """Send a message and wait for the whole answer."""
    before = len(page.texts(ANSWERS))
    page.say(message)
    page.wait(ANSWERS, count=before + 1, deadline=deadline)
    page.wait_until_idle(deadline)


def wait_until_shown(page: Page, answers: int = 1) -> None:
    """Wait until a page that was just opened shows its thread, so many answers, and nothing runs."""
    page.wait(ANSWERS, count=answers)
    page.wait_until_idle()


def open_beside(browser: Browser, page: Page) -> Page:
    """Another window on the thread of ``page``, which shows one answer."""
    other = browser.open(page.call("address"))
    wait_until_shown(other)
    return other


def rename(page: Page, thread_id: str, name: str) -> None:
    """Rename a thread in the list, and wait until it shows there."""
    page.call("hover", selector=row(thread_id))
    page.click("thread-rename", within=row(thread_id))
    page.call("fill", selector='[data-testid="thread-rename-input"]', value=name)
    page.click("thread-rename-save")
    page.wait(f"{row(thread_id)} {NAME}", text=name)


def archive(page: Page, thread_id: str) -> None:
    """Archive a thread of a list that hides archived ones, and wait until it is gone there."""
    page.call("hover", selector=row(thread_id))
    page.click("thread-archive", within=row(thread_id))
    page.wait(row(thread_id), gone=True)


def switch_archived(page: Page) -> None:
    """Show the archived threads in the list, or hide them again."""
    page.call("click", selector='label:has([data-testid="show-archived"])')


def restore(page: Page, thread_id: str) -> None:
    """Take a thread out of the archive in a list that shows archived ones."""
    page.wait(f'{row(thread_id)}[data-archived="true"]')
    page.call("hover", selector=row(thread_id))
    page.click("thread-unarchive", within=row(thread_id))
    page.wait(f'{row(thread_id)}[data-archived="false"]')


def delete(page: Page, thread_id: str) -> None:
    """Delete a thread in the list, and wait until it is gone there."""
    page.call("hover", selector=row(thread_id))
    page.click("thread-delete", within=row(thread_id))
    page.click("thread-delete-confirm")
    page.wait(row(thread_id), gone=True)


def nth(selector: str, number: int) -> str:
    """The element with this number among those of a selector."""
    return f":nth-match({selector}, {number})"


def regenerate(page: Page, number: int) -> None:
    """Ask for another answer in place of one, and wait for it."""
    old = page.texts(ANSWERS)[number - 1]
    page.call("click", selector=f"{nth(ANSWERS, number)} {REGENERATE}")
    wait_for_another(page, number, old)


def edit(page: Page, number: int, text: str) -> None:
    """Say something else in place of a message, and wait for the answer."""
    old = page.texts(ANSWERS)[number - 1]
    begin_edit(page, number, text)
    page.click("edit-message-send")
    page.wait(QUESTIONS, text=text)
    wait_for_another(page, number, old)


def begin_edit(page: Page, number: int, text: str) -> None:
    """Open a message for a change and type another text."""
    page.call("hover", selector=nth(QUESTIONS, number))
    page.call("click", selector=f"{nth(QUESTIONS, number)} {EDIT}")
    page.call("fill", selector='[data-testid="edit-message-input"]', value=text)


def wait_for_another(page: Page, number: int, old: str) -> None:
    """Wait until the last answer has this number and says something else than an old one."""
    page.wait(ANSWERS, count=number)
    page.call("changed", selector=nth(ANSWERS, number), old=old)
    page.wait_until_idle()


def assert_no_problem(page: Page) -> None:
    """Neither the page's error area nor its console has anything to say."""
    assert page.reported() == []
    assert page.problems() == []
