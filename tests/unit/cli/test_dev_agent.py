"""`jumpseat dev` serves a model when the environment has a key for one, and says what it does and why."""

from collections.abc import Callable
from typing import Any

import pytest

from jumpseat import BuiltInAgent
from jumpseat.agents.builtin.models import providers
from jumpseat.cli.demo import DemoAgent
from jumpseat.cli.dev_agent import choose_agent
from jumpseat.errors import ConfigurationError
from mock_provider import KEY_VARIABLES, URL_VARIABLES

KEY = "sk-not-to-be-shown-0123456789"


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Sets the variables of a test; no other key, address or model is there."""
    for name in (*KEY_VARIABLES, *URL_VARIABLES, "JUMPSEAT_MODEL"):
        monkeypatch.delenv(name, raising=False)

    def use(**variables: str) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return use


@pytest.fixture
def installed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Leaves only these libraries of providers installed."""

    def only(*libraries: str) -> None:
        kept = {"pydantic_ai", *libraries}
        monkeypatch.setattr(providers, "_is_installed", lambda module: module in kept)

    return only


@pytest.mark.parametrize(
    ("variables", "model", "reason"),
    [
        ({"OPENAI_API_KEY": KEY}, "openai/gpt-5", "OPENAI_API_KEY is set"),
        ({"ANTHROPIC_API_KEY": KEY}, "anthropic/claude-sonnet-5", "ANTHROPIC_API_KEY is set"),
        ({"GOOGLE_API_KEY": KEY}, "google/gemini-flash-latest", "GOOGLE_API_KEY is set"),
        ({"GEMINI_API_KEY": KEY}, "google/gemini-flash-latest", "GEMINI_API_KEY is set"),
        ({"GEMINI_API_KEY": KEY, "OPENAI_API_KEY": KEY}, "openai/gpt-5", "OPENAI_API_KEY is set"),
        (
            {"OPENAI_API_KEY": "  ", "GEMINI_API_KEY": KEY},
            "google/gemini-flash-latest",
            "GEMINI_API_KEY is set",
        ),
        (
            {"OPENAI_API_KEY": KEY, "ANTHROPIC_API_KEY": KEY, "JUMPSEAT_MODEL": "anthropic:claude-haiku-4-5"},
            "anthropic:claude-haiku-4-5",
            "JUMPSEAT_MODEL is set",
        ),
    ],
)
def test_a_key_decides_which_model_is_served(
    environment: Callable[..., None], variables: dict[str, str], model: str, reason: str
):
    environment(**variables)
    chosen = choose_agent()
    assert isinstance(chosen.agent, BuiltInAgent)
    assert (chosen.model, chosen.notes) == (model, ())
    assert chosen.what == f"{model} (a BuiltInAgent, because {reason})"
    assert KEY not in repr(chosen)


def test_without_a_key_the_demo_agent_is_served(environment: Callable[..., None]):
    environment()
    chosen = choose_agent()
    assert isinstance(chosen.agent, DemoAgent)
    assert (chosen.model, chosen.notes, chosen.transcription) == ("", (), None)
    assert "OPENAI_API_KEY" in chosen.what


def test_a_library_that_is_missing_is_named_with_its_pip_line_and_the_demo_agent_is_served(
    environment: Callable[..., None], installed: Callable[..., None]
):
    environment(OPENAI_API_KEY=KEY)
    installed()
    chosen = choose_agent()
    assert isinstance(chosen.agent, DemoAgent)
    [note] = chosen.notes
    assert "openai/gpt-5 is not served, although OPENAI_API_KEY is set" in note
    assert note.endswith('pip install "jumpseat[openai]"')
    assert KEY not in note + chosen.what


def test_the_next_key_counts_when_the_library_of_the_first_is_missing(
    environment: Callable[..., None], installed: Callable[..., None]
):
    environment(OPENAI_API_KEY=KEY, ANTHROPIC_API_KEY=KEY)
    installed("anthropic")
    chosen = choose_agent()
    assert chosen.model == "anthropic/claude-sonnet-5"
    assert [note.partition(" ")[0] for note in chosen.notes] == ["openai/gpt-5"]


def test_a_named_model_without_its_key_says_which_one_and_the_demo_agent_is_served(
    environment: Callable[..., None],
):
    environment(OPENAI_API_KEY=KEY, JUMPSEAT_MODEL="anthropic/claude-sonnet-5")
    chosen = choose_agent()
    assert isinstance(chosen.agent, DemoAgent)
    [note] = chosen.notes
    assert note.startswith("anthropic/claude-sonnet-5 is not served, although JUMPSEAT_MODEL is set: ")
    assert note.endswith("set ANTHROPIC_API_KEY as well")


@pytest.mark.parametrize("spec", ["gpt-5", "/gpt-5", "nobody/x"])
def test_a_named_model_that_is_none_is_refused(environment: Callable[..., None], spec: str):
    environment(OPENAI_API_KEY=KEY, JUMPSEAT_MODEL=spec)
    with pytest.raises(ConfigurationError, match=r"^JUMPSEAT_MODEL: "):
        choose_agent()


def test_speech_is_turned_into_text_where_the_key_of_openai_belongs(environment: Callable[..., None]):
    environment(OPENAI_API_KEY=KEY)
    service = choose_agent().transcription
    assert service is not None
    assert service.base_url == "https://api.openai.com/v1"
    environment(OPENAI_BASE_URL="http://127.0.0.1:1/v1/")
    service = choose_agent().transcription
    assert service is not None
    assert service.base_url == "http://127.0.0.1:1/v1"
    environment(OPENAI_BASE_URL="nowhere")
    with pytest.raises(ConfigurationError):
        choose_agent()


def test_the_command_says_which_model_answers_and_shows_it_on_the_page(start: Callable[..., Any]):
    served = start("dev", OPENAI_API_KEY=KEY, OPENAI_BASE_URL="http://127.0.0.1:1/v1")
    assert "serves openai/gpt-5 (a BuiltInAgent, because OPENAI_API_KEY is set)" in served.announced
    info = served.http.get(f"{served.api}/info").json()
    assert info["agents"]["default"]["description"] == "Answers with openai/gpt-5."
    assert info["audioFileTranscriptionEnabled"] is True
    assert KEY not in served.announced + served.stderr() + str(info)


def test_the_command_says_why_a_model_is_not_served(start: Callable[..., Any]):
    served = start("dev", JUMPSEAT_MODEL="openai/gpt-5")
    assert "demo agent" in served.announced
    assert "set OPENAI_API_KEY as well" in served.stderr()


def test_the_command_ends_with_words_when_the_named_model_is_none(finish: Callable[..., Any]):
    done = finish("dev", JUMPSEAT_MODEL="gpt-5")
    assert done.returncode == 2
    assert 'JUMPSEAT_MODEL: Invalid model string "gpt-5"' in done.stderr
    assert "Traceback" not in done.stderr
