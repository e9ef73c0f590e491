"""Fixtures of the end-to-end tests: stock clients in Node.js against server processes."""

import json
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

import postgres_server
from contract.conftest import place, place_on, postgres_schema, redis_url
from e2e.browser import Browser, running_browser
from e2e.server import Server, built_in_server, chat_server, command_line_server, scripted_server
from e2e.stock_clients import (
    CLIENT_RELEASES,
    CORE_RELEASES,
    StockClient,
    Tab,
    Tabs,
    install_packages,
    running_client,
)
from mock_provider import MockProvider, mock_server, provider

__all__ = ["mock_server", "place", "place_on", "postgres_schema", "provider", "redis_url"]

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


@pytest.fixture
def every_stock(stock_clients: Callable[[str], StockClient]) -> list[StockClient]:
    """All releases of both packages at once, for what is too costly to set up for each of them."""
    return [stock_clients(release) for release in CLIENT_RELEASES + CORE_RELEASES]


@pytest.fixture(scope="session")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """One server on SQLite for each configuration, shared by the tests that leave it as it is."""
    with ExitStack() as stack:
        started: dict[str, Server] = {}

        def of(**configuration: Any) -> Server:
            key = json.dumps(configuration, sort_keys=True)
            if key not in started:
                folder = tmp_path_factory.mktemp("server")
                created = scripted_server(folder, **{"db_path": str(folder / "threads.db"), **configuration})
                stack.callback(created.close)
                started[key] = created.start()
            return started[key]

        yield of


@pytest.fixture(scope="session")
def shared_server_on(
    shared_server: Callable[..., Server], request: pytest.FixtureRequest
) -> Callable[[str], Server]:
    """The shared server whose threads are in SQLite, PostgreSQL or Redis."""

    def of(back_end: str) -> Server:
        if back_end == "postgres":
            return shared_server(db_path=postgres_server.shared_server().dsn(), runner={"schema": "e2e"})
        if back_end == "redis":
            return shared_server(db_path=request.getfixturevalue("redis_url"), runner={"prefix": "e2e"})
        return shared_server()

    return of


@pytest.fixture(scope="session")
def server(shared_server: Callable[..., Server]) -> Server:
    """The shared server with the default configuration."""
    return shared_server()


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


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`jumpseat dev` as it is: the demo agent and the chat page."""
    folder = tmp_path_factory.mktemp("demo")
    started = command_line_server(folder, "dev", "--db", str(folder / "threads.db"))
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture(scope="session")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The chat page with a demo agent that the tests pace, shared by the tests that leave it as it is."""
    started = chat_server(tmp_path_factory.mktemp("chat"))
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture
def own_chat(tmp_path: Path) -> Iterator[Server]:
    """The same for one test, to kill and start again, with no thread in its list."""
    started = chat_server(tmp_path)
    try:
        yield started.start()
    finally:
        started.close()


@pytest.fixture(scope="session")
def built_in(tmp_path_factory: pytest.TempPathFactory, mock_server: MockProvider) -> Iterator[Server]:
    """BuiltInAgents under `jumpseat dev`: some play scenes, some ask the mock of the providers."""
    started = built_in_server(tmp_path_factory.mktemp("built-in"), environment=mock_server.environment)
    try:
        yield started.start()
    finally:
        started.close()
