"""What all tests share: none waits for ever, and none lets the event loop be blocked."""

import asyncio
import functools
import inspect
import random
from collections.abc import Iterator
from typing import Any

import pytest
from blockbuster import blockbuster_ctx

from fault_report import FaultReport, add_options, summarise
from long_watches import Watches, script_of

TEST_SECONDS = 120.0
REPORT = pytest.StashKey[FaultReport]()


def pytest_addoption(parser: pytest.Parser) -> None:
    add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    seed = config.getoption("--fault-seed")
    config.stash[REPORT] = FaultReport(random.randrange(1 << 20) if seed is None else seed)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    summarise(terminalreporter, config.stash[REPORT], config.getoption("--fault-report"))


@pytest.fixture
def faults(pytestconfig: pytest.Config) -> FaultReport:
    """Where fault tests hand in their figures."""
    return pytestconfig.stash[REPORT]


@pytest.fixture(autouse=True)
def no_blocking_call():
    """Fail where our own code sleeps, opens a file, uses a database or waits for a lock on the event loop.

    The command line may: it serves the page's files to one developer.
    """
    with blockbuster_ctx("jumpseat", excluded_modules=["jumpseat.testing", "jumpseat.cli"]):
        yield


@pytest.fixture(scope="session", autouse=True)
def long_watches(request: pytest.FixtureRequest) -> Iterator[Watches]:
    """The scripts that run beside the tests, from the first test on."""
    running = Watches(request.session.items)
    yield running
    running.close()


@pytest.fixture
def seen(request: pytest.FixtureRequest, long_watches: Watches) -> Any:
    """What the script that the test watches has printed."""
    return long_watches.seen(script_of(request.node))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give every coroutine test a deadline. A fixture could not: it runs in a task of its own."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            item.obj = _limited(item.obj)
    items.sort(key=lambda item: script_of(item) is not None)


def _limited(test):
    @functools.wraps(test)
    async def limited(*args, **kwargs):
        async with asyncio.timeout(TEST_SECONDS):
            await test(*args, **kwargs)

    return limited
