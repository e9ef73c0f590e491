"""Fixtures of the end-to-end tests: stock clients in Node.js against server processes."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from e2e.browser import Browser, running_browser
from e2e.server import Server, command_line_server, scripted_server
from e2e.stock_clients import (
    CLIENT_RELEASES,
    CORE_RELEASES,
    StockClient,
    Tab,
    Tabs,
    install_packages,
    running_client,
)

OpenTab = Callable[..., Tab]


@pytest.fixture(scope="session")
def packages() -> None:
    """The stock clients, installed once; a machine without Node.js fails here and is told what to install."""
    install_packages()


@pytest.fixture(scope="session")
def stock_clients(packages: None) -> Iterator[Callable[[str], StockClient]]:
    """A Node.js process for each release that a test asks for, shared by all tests."""
    with ExitStack() as stack:
        running: dict[str, StockClient] = {}

        def of(release: str) -> StockClient:
            if release not in running:
                running[release] = stack.enter_context(running_client(release))
            return running[release]

        yield of


@pytest.fixture(params=CLIENT_RELEASES)
def client(request: pytest.FixtureRequest, stock_clients: Callable[[str], StockClient]) -> StockClient:
    """Each release of @ag-ui/client in turn."""
    return stock_clients(request.param)


@pytest.fixture(params=CORE_RELEASES)
def core(request: pytest.FixtureRequest, stock_clients: Callable[[str], StockClient]) -> StockClient:
    """Each release of @copilotkit/core in turn."""
    return stock_clients(request.param)


@pytest.fixture(params=CLIENT_RELEASES + CORE_RELEASES)
def stock(request: pytest.FixtureRequest, stock_clients: Callable[[str], StockClient]) -> StockClient:
    """Every release of both packages in turn."""
    return stock_clients(request.param)


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server on SQLite with the default configuration, shared by the tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("server")
    started = scripted_server(folder, db_path=str(folder / "threads.db"))
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers of the test's own, to configure, kill and start again; on SQLite unless it says otherwise."""
    with ExitStack() as stack:

        def start(**configuration: Any) -> Server:
            folder = tmp_path / uuid.uuid4().hex
            folder.mkdir()
            configuration = {"db_path": str(folder / "threads.db"), **configuration}
            created = scripted_server(folder, **configuration)
            stack.callback(created.close)
            return created.start()

        yield start


@pytest.fixture
def tabs() -> Iterator[Tabs]:
    """Pages of this test; closed when it ends."""
    opened = Tabs()
    try:
        yield opened
    finally:
        opened.close_all()


@pytest.fixture
def thread_id() -> str:
    """An id no other test uses."""
    return f"thread-{uuid.uuid4().hex}"


@pytest.fixture(scope="session")
def browser(packages: None) -> Iterator[Browser]:
    """A Chromium for all browser tests; a machine without one fails here and is told what to install."""
    with running_browser() as started:
        yield started


@pytest.fixture
def demo(tmp_path: Path) -> Iterator[Server]:
    """`jumpseat dev`: the demo agent and the chat page, with threads in a file of this test."""
    server = command_line_server(tmp_path, "dev", "--db", str(tmp_path / "threads.db"))
    try:
        yield server.start()
    finally:
        server.close()
