"""`jumpseat dev` with nothing but a key in the environment, and behind one URL, as stock clients meet it."""

from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from e2e.script import problems, shown
from e2e.server import built_in_server, command_line_server
from e2e.stock_clients import StockClient, Tabs
from mock_provider import TEST_KEY, MockProvider

MODELS = {
    "OPENAI_API_KEY": ("openai/gpt-5", "/v1/responses"),
    "ANTHROPIC_API_KEY": ("anthropic/claude-sonnet-5", "/v1/messages"),
    "GEMINI_API_KEY": ("google/gemini-flash-latest", "/v1beta/models/gemini-flash-latest:"),
}
SAVED = {"items": ["milk"]}


@pytest.fixture
def shopping(provider: MockProvider) -> MockProvider:
    """The mock of the providers with a model that keeps a list in the shared state."""
    call = {"id": "call_l1", "name": "AGUISendStateSnapshot", "arguments": {"snapshot": SAVED}}
    provider.add(
        {"match": {"userMessage": "milk", "hasToolResult": False}, "response": {"toolCalls": [call]}},
        {"match": {"userMessage": "milk"}, "response": {"content": "It is on the list."}},
    )
    return provider


@pytest.mark.parametrize("variable", MODELS)
def test_a_key_is_enough_for_a_model_that_answers_and_keeps_a_list(
    core: StockClient, shopping: MockProvider, tabs: Tabs, tmp_path: Path, variable: str
) -> None:
    model, path = MODELS[variable]
    addresses = {name: value for name, value in shopping.environment.items() if name.endswith("_BASE_URL")}
    database = str(tmp_path / "threads.db")
    environment = {**addresses, variable: TEST_KEY}
    with closing(command_line_server(tmp_path, "dev", "--db", database, environment=environment)) as server:
        server.start()
        assert f"{model} (a BuiltInAgent, because {variable} is set)" in server.logged()
        tab = tabs.open(core, server.url, thread_id="t1")
        tab.say("remember milk", "u1")
        report = tab.run()
        assert problems(report) == []
        assert (report["state"], report["messages"][-1]["content"]) == (SAVED, "It is on the list.")
        assert [request.path.startswith(path) for request in shopping.requests] == [True, True]
        assert TEST_KEY not in server.logged()
        restored = tabs.open(core, server.url, thread_id="t1").connect()
        assert shown(restored["messages"]) == shown(report["messages"])
        tabs.close_all()


@pytest.fixture(scope="module")
def single_route(tmp_path_factory: pytest.TempPathFactory, mock_server: MockProvider) -> Iterator[str]:
    """The address of BuiltInAgents behind one URL."""
    folder = tmp_path_factory.mktemp("single")
    environment = mock_server.environment
    with closing(built_in_server(folder, "--single-route", probe="/", environment=environment)) as server:
        yield server.start().url


def test_a_suggestion_over_a_single_route_is_forced_and_leaves_nothing_behind(
    core: StockClient, single_route: str, tabs: Tabs, thread_id: str
) -> None:
    tab = tabs.open(core, single_route, thread_id=thread_id, transport="single")
    tab.say("text", "u1")
    live = tab.run()
    assert problems(live) == []
    configuration = {"instructions": "Offer something", "providerAgentId": "default"}
    suggested = tab.call("suggest", configuration=configuration)["suggestions"]
    assert [suggestion["message"] for suggestion in suggested] == [
        "text after text",
        "text copilotkitSuggest",
    ]
    restored = tabs.open(core, single_route, thread_id=thread_id, transport="single").connect()
    assert shown(restored["messages"]) == shown(live["messages"])
