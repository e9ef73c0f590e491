"""Pages in headless Chromium, driven through playwright-core in a Node.js process."""

import itertools
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from e2e.stock_clients import StockClient

_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

CHAT_INPUT = '[data-testid="copilot-chat-textarea"]'
ANSWERS = '[data-testid="copilot-assistant-message"]'
QUESTIONS = '[data-testid="copilot-user-message"]'
RUNNING = '[data-testid="run-status"][data-running="true"]'
IDLE = '[data-testid="run-status"][data-running="false"]'


def chromium() -> str:
    """The path of a Chromium; raises `RuntimeError` saying what to install when there is none."""
    chosen = os.environ.get("JUMPSEAT_CHROMIUM")
    found = chosen or next(filter(None, map(shutil.which, _NAMES)), None)
    if found is None or not Path(found).exists():
        raise RuntimeError(
            "the browser tests need Chromium: install it (for example `apt-get install chromium`), "
            "or set JUMPSEAT_CHROMIUM to the path of a Chromium or Chrome"
        )
    return found


class Page:
    """One window of the chat page, with storage of its own."""

    def __init__(self, driver: StockClient, name: str) -> None:
        self._driver = driver
        self._name = name

    def call(self, op: str, /, *, deadline: float = 15.0, **parameters: Any) -> Any:
        """One command on this window."""
        return self._driver.call(op, page=self._name, deadline=deadline, **parameters)

    def wait(self, selector: str, **condition: Any) -> None:
        """Wait for an element, for `count` of them, or for one with a `text` in it."""
        self.call("wait", selector=selector, **condition)

    def click(self, test_id: str, *, within: str = "") -> None:
        """Click on the element with a test id."""
        self.call("click", selector=f'{within} [data-testid="{test_id}"]')

    def texts(self, selector: str) -> list[str]:
        """What the elements say."""
        return self.call("texts", selector=selector)

    def say(self, message: str) -> None:
        """Type a message and send it."""
        self.call("fill", selector=CHAT_INPUT, value=message)
        self.call("press", selector=CHAT_INPUT, key="Enter")

    def wait_until_idle(self, deadline: float = 15.0) -> None:
        """Wait until no run is shown as running."""
        self.wait(IDLE, deadline=deadline)

    def wait_for_words(self, count: int, *, deadline: float = 20.0) -> str:
        """Wait until the newest answer has `count` words, and return it as it is then."""
        return self.call("words", selector=ANSWERS, count=count, deadline=deadline)

    def reported(self) -> list[str]:
        """The messages in the page's error area."""
        return self.texts('[data-testid="error-message"]')

    def problems(self) -> list[str]:
        """Uncaught exceptions and console errors since the last call."""
        return self.call("problems")

    def close(self) -> None:
        """Close the window."""
        self.call("close")


class Browser:
    """A running Chromium."""

    def __init__(self, driver: StockClient) -> None:
        self._driver = driver
        self._names = itertools.count(1)

    def open(self, url: str, **options: Any) -> Page:
        """A new window on a page, with `cookies`, of a `width` and `height`."""
        page = Page(self._driver, f"page-{next(self._names)}")
        page.call("open", url=url, deadline=30.0, **options)
        return page


@contextmanager
def running_browser(sound: Path | None = None) -> Iterator[Browser]:
    """A Chromium that ends with the block; with a WAV file as `sound` it has a microphone that plays it."""
    executable = chromium()
    driver = StockClient("browser")
    try:
        driver.call(
            "launch", executable=executable, sound=None if sound is None else str(sound), deadline=60.0
        )
        yield Browser(driver)
        driver.call("quit")
    finally:
        driver.close()
